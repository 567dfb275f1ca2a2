import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { Socket } from "node:net";

export interface HttpServerParts {
  readonly handler: RequestListener;
  /** A whole request has to arrive within, and the next one to begin. */
  readonly requestTimeoutMs: () => number;
  /** What came over a connection was not answered by the handler; the connection ends. */
  readonly refused: (socket: Socket, check: string, why: string) => void;
}

const maximumHeaderBytes = 8_192;
/** Until a client has taken the whole answer. */
const answerTimeoutMs = 60_000;

/**
 * An HTTP server for connections that the door hands over (`emit("connection", socket)`). The runtimes watch the time of
 * connections only for a server that listens itself, so it is watched here:
 *
 *     request (connectTimeoutMs) --whole request here--> answer (60 s) --sent--> request
 */
export function httpServer({ handler, requestTimeoutMs, refused }: HttpServerParts): Server {
  const timers = new WeakMap<Socket, NodeJS.Timeout>();
  const end = (socket: Socket, check: string, why: string) => {
    refused(socket, check, why);
    socket.destroy();
  };
  const allow = (socket: Socket, ms: number, check: string, why: string) => {
    clearTimeout(timers.get(socket));
    if (!socket.destroyed)
      timers.set(
        socket,
        setTimeout(() => end(socket, check, why), ms),
      );
  };
  const allowRequest = (socket: Socket) =>
    allow(socket, requestTimeoutMs(), "request-timeout", "no whole request came in time");
  const allowAnswer = (socket: Socket) =>
    allow(socket, answerTimeoutMs, "answer-timeout", "the client did not take the answer in time");

  const server = createServer(
    { maxHeaderSize: maximumHeaderBytes, requireHostHeader: false },
    (request, response) => {
      const { socket, headers } = request;
      if (request.httpVersion === "1.1" && hostsOf(request) !== 1) {
        response.writeHead(400, { "content-length": 0, connection: "close" }).end();
        return refused(socket, "http", "the request has no Host or several");
      }
      const hasBody =
        headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
      if (hasBody) request.once("end", () => allowAnswer(socket));
      else allowAnswer(socket);
      response.once("finish", () => allowRequest(socket));
      handler(request, response);
    },
  );
  server.on("connection", (socket) => {
    socket.once("close", () => clearTimeout(timers.get(socket)));
    allowRequest(socket);
  });
  server.on("clientError", (error: Error & { code?: string }, stream) => {
    const socket = stream as Socket;
    if (!error.code?.startsWith("HPE_")) return void socket.destroy(); // the peer is gone
    const isTooLarge = error.code === "HPE_HEADER_OVERFLOW";
    const status = isTooLarge ? "431 Request Header Fields Too Large" : "400 Bad Request";
    if (socket.writable) socket.write(`HTTP/1.1 ${status}\r\nconnection: close\r\n\r\n`);
    end(socket, "http", isTooLarge ? "the header is too large" : "no HTTP/1.1 request");
  });
  return server;
}

/** RFC 9112 section 3.2: a request of HTTP/1.1 has exactly one Host. Of the runtimes, one minds neither none nor several. */
function hostsOf({ rawHeaders }: IncomingMessage): number {
  return rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === "host").length;
}

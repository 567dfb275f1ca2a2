import { printable } from "@wardmq/events";
import { type Certificate, decodeCertificate, decodePems } from "@wardmq/x509";
import { Failure } from "../failure.ts";
import { readText } from "../files.ts";

/** The certificates of a PEM file: at least one. */
export function decodeCertificates(path: string): readonly [Certificate, ...Certificate[]] {
  const text = readText(path);
  try {
    const [first, ...more] = decodePems("CERTIFICATE", text).map(decodeCertificate);
    if (first === undefined) throw new Error("empty");
    return [first, ...more];
  } catch (cause) {
    throw new Failure("ERR_CERTIFICATE", `${printable(path)} holds no certificate in PEM`, {
      hint: "restore it from a backup",
      cause,
    });
  }
}

export const day = (milliseconds: number) => new Date(milliseconds).toISOString().slice(0, 10);

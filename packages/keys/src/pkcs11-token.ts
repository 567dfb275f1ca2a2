import { createRequire } from "node:module";
import { resolve } from "node:path";
import { printable } from "@wardmq/events";
import type Pkcs11js from "pkcs11js";
import { readCredential } from "./credentials-provider.ts";
import type { KeyEnvironment } from "./key-provider.ts";
import { KeysError } from "./keys-error.ts";
import type { Pkcs11Uri } from "./pkcs11-uri.ts";
import { readPrivateText } from "./private-files.ts";

type Library = typeof Pkcs11js;
type Module = InstanceType<Library["PKCS11"]>;
export type Handle = Buffer;
export type Template = Parameters<Module["C_FindObjectsInit"]>[1];

/** A library is loaded and initialized once in a process, however many keys are used. */
const modules = new Map<string, Module>();

/** A session with the token that a URI names, logged in. */
export class Pkcs11Token {
  readonly pkcs11: Library;
  readonly module: Module;
  readonly session: Handle;

  private constructor(pkcs11: Library, module: Module, session: Handle) {
    this.pkcs11 = pkcs11;
    this.module = module;
    this.session = session;
  }

  /** Throws a KeysError that says what of library, token and PIN is missing. */
  static open(uri: Pkcs11Uri, environment: KeyEnvironment, folder: string): Pkcs11Token {
    const pkcs11 = loadLibrary();
    const pin = readPin(uri.pinSource, environment, folder); // first: a token counts wrong PINs
    const module = loadModule(pkcs11, uri.modulePath);
    const slot = findSlot(module, uri);
    const flags = pkcs11.CKF_SERIAL_SESSION | pkcs11.CKF_RW_SESSION;
    const session = module.C_OpenSession(slot, flags);
    logIn(pkcs11, module, session, pin, uri);
    return new Pkcs11Token(pkcs11, module, session);
  }

  /** The objects that a template matches. */
  find(template: Template): readonly Handle[] {
    this.module.C_FindObjectsInit(this.session, template);
    try {
      return this.module.C_FindObjects(this.session, 10);
    } finally {
      this.module.C_FindObjectsFinal(this.session);
    }
  }

  /** The value of one attribute. */
  attribute(object: Handle, type: number): Buffer {
    const [found] = this.module.C_GetAttributeValue(this.session, object, [{ type }]);
    return Buffer.isBuffer(found?.value) ? found.value : Buffer.alloc(0);
  }

  /** Gives what takes objects away again that were made in the token; that it can not is of no use to anybody then. */
  undoOf(...objects: readonly Handle[]): () => void {
    return () => {
      for (const object of objects) {
        try {
          this.module.C_DestroyObject(this.session, object);
        } catch {
          // the token is gone, or keeps what it has
        }
      }
    };
  }

  /** The one secret or private key of a label that never leaves the token; undefined when there is none. */
  findKey(template: Template, label: string): Handle | undefined {
    const { CKA_LABEL, CKA_SENSITIVE, CKA_EXTRACTABLE } = this.pkcs11;
    const found = this.find([...template, { type: CKA_LABEL, value: label }]);
    const [key] = found;
    if (key === undefined) return undefined;
    const shown = printable(label, 80);
    if (found.length > 1)
      throw refused(
        `the token has ${found.length} keys ${shown}`,
        "give each key a label of its own",
      );
    if (
      this.attribute(key, CKA_SENSITIVE)[0] !== 1 ||
      this.attribute(key, CKA_EXTRACTABLE)[0] !== 0
    ) {
      throw refused(
        `the key ${shown} of the token may leave it`,
        "make one that is sensitive and not extractable",
      );
    }
    return key;
  }
}

export function refused(message: string, hint: string, cause?: unknown): KeysError {
  return new KeysError("ERR_KEY_PROVIDER", message, hint, cause);
}

/** pkcs11js is native code that is built on request only, so it is loaded when a token is used. */
function loadLibrary(): Library {
  try {
    return createRequire(import.meta.url)("pkcs11js") as Library;
  } catch (cause) {
    throw refused(
      "keys in a PKCS#11 token need pkcs11js, which is not built on this machine",
      "build it where wardmq is installed: npm rebuild pkcs11js (it needs g++, make and python3)",
      cause,
    );
  }
}

function loadModule(pkcs11: Library, path: string): Module {
  const known = modules.get(path);
  if (known !== undefined) return known;
  const module = new pkcs11.PKCS11();
  try {
    module.load(path);
    module.C_Initialize({ flags: pkcs11.CKF_OS_LOCKING_OK }); // a token signs in a thread while others are asked
  } catch (cause) {
    const hint = "correct module-path; the library comes with the token's software";
    throw refused(`the PKCS#11 library ${printable(path)} can not be loaded`, hint, cause);
  }
  modules.set(path, module);
  return module;
}

function findSlot(module: Module, { token }: Pkcs11Uri): Handle {
  const slots = module
    .C_GetSlotList(true)
    .filter((slot) => module.C_GetTokenInfo(slot).label.trimEnd() === token);
  const [slot] = slots;
  if (slot !== undefined && slots.length === 1) return slot;
  const shown = printable(token, 80);
  throw slot === undefined
    ? refused(
        `there is no token ${shown}`,
        "plug it in, or correct token= in the PKCS#11 URI; the library has to find its configuration without variables such as SOFTHSM2_CONF, which control and broker do not get",
      )
    : refused(`there are ${slots.length} tokens ${shown}`, "give each token a label of its own");
}

function logIn(
  pkcs11: Library,
  module: Module,
  session: Handle,
  pin: string,
  { token }: Pkcs11Uri,
): void {
  try {
    module.C_Login(session, pkcs11.CKU_USER, pin);
  } catch (cause) {
    const { code } = cause as { readonly code?: number };
    if (code === pkcs11.CKR_USER_ALREADY_LOGGED_IN) return; // by another session of this process
    module.C_CloseSession(session);
    throw refused(
      `the token ${printable(token, 80)} does not take the PIN (${(cause as Error).message})`,
      "correct it before the token locks itself",
      cause,
    );
  }
}

/** The PIN that `file:PATH` (below `folder`) or `credential:NAME` names, without the end of its line. */
export function readPin(source: string, environment: KeyEnvironment, folder: string): string {
  const at = source.indexOf(":");
  const name = source.slice(at + 1);
  const text =
    source.slice(0, at) === "credential"
      ? readCredential(environment, name).toString("utf8")
      : readPrivateText(resolve(folder, name));
  const pin = text.replace(/\r?\n$/, "");
  if (pin !== "") return pin;
  throw refused(`${printable(source)} holds no PIN`, "write the PIN of the token there");
}

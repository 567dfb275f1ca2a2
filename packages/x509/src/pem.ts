import { X509Error } from "./x509-error.ts";

export type PemLabel =
  | "CERTIFICATE"
  | "CERTIFICATE REQUEST"
  | "PUBLIC KEY"
  | "PRIVATE KEY"
  | "X509 CRL"
  | "PKCS#11 PROVIDER URI";

/** RFC 7468, lines of 64 characters. */
export function encodePem(label: PemLabel, der: Uint8Array): string {
  const base64 = Buffer.from(der).toString("base64");
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/** Exactly one PEM block of this label and nothing else but white space around it. */
export function decodePem(label: PemLabel, text: string): Uint8Array {
  const [der, ...more] = decodePems(label, text);
  if (der === undefined || more.length > 0) {
    throw new X509Error("ERR_X509_PEM", `expected one ${label}`);
  }
  return der;
}

/** One or more PEM blocks of this label, one directly after the other: a certificate and its path. */
export function decodePems(label: PemLabel, text: string): readonly Uint8Array[] {
  const begin = `-----BEGIN ${label}-----`;
  const end = `-----END ${label}-----`;
  const lines = text.trim().split(/\r?\n/);
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < lines.length; ) {
    const until = lines.indexOf(end, at);
    if (lines[at] !== begin || until < 0) {
      throw new X509Error("ERR_X509_PEM", `expected ${begin} and ${end}`);
    }
    blocks.push(decodeBase64(lines.slice(at + 1, until)));
    at = until + 1;
  }
  return blocks;
}

/** Lines of exactly 64 characters but for the last, canonical base64 (no stray bits, right padding). */
function decodeBase64(lines: readonly string[]): Uint8Array {
  const last = lines.at(-1) ?? "";
  const lengthsFit =
    last.length > 0 && last.length <= 64 && lines.slice(0, -1).every((line) => line.length === 64);
  const base64 = lines.join("");
  const bytes = Buffer.from(base64, "base64");
  if (!lengthsFit || bytes.toString("base64") !== base64) {
    throw new X509Error("ERR_X509_PEM", "not base64 in lines of 64 characters");
  }
  return new Uint8Array(bytes);
}

/** Every way a certificate, a request or an identity can be wrong, one row each; codes are stable. */
export const x509Errors = {
  ERR_X509_DER: "the bytes are not DER",
  ERR_X509_PEM: "the text is not one strict PEM block",
  ERR_X509_PUBLIC_KEY: "the public key is not P-256, P-384, Ed25519, ML-DSA-44 or ML-DSA-65",
  ERR_X509_CERTIFICATE: "the bytes are not an X.509 version 3 certificate",
  ERR_X509_CERTIFICATE_REQUEST: "the bytes are not a PKCS#10 certificate request",
  ERR_X509_CRL: "the bytes are not a CRL that can be relied on",
  ERR_X509_OCSP_REQUEST: "the bytes are not an OCSP request",
  ERR_X509_VALUE: "a value does not fit into a certificate",
  ERR_X509_PROFILE: "the names do not fit the certificate profile",
  ERR_X509_SPIFFE_ID: "the text is not a SPIFFE ID of a device, a service or an operator",
  ERR_X509_ATTRIBUTE: "the text is outside the alphabet of attributes",
} as const;

export type X509ErrorCode = keyof typeof x509Errors;

/** The bytes or the text were wrong; `detail` never holds text from outside. */
export class X509Error extends Error {
  override readonly name = "X509Error";
  readonly code: X509ErrorCode;

  constructor(code: X509ErrorCode, detail?: string) {
    super(detail === undefined ? x509Errors[code] : `${x509Errors[code]}: ${detail}`);
    this.code = code;
  }
}

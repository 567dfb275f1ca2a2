/** What a token costs the thread that judges it, good or bad: `node packages/tokens/bench/verify.bench.ts`. */
import { verifyToken } from "../src/index.ts";
import {
  assemble,
  goodClaims,
  goodHeader,
  makeIssuer,
  now,
  sign,
  surroundings,
} from "../test/issuers.ts";

const forMs = 2_000;
const { issuer, privateKey } = await makeIssuer();
const other = await makeIssuer();
const where = surroundings(issuer);

const tokens = {
  good: await sign(privateKey),
  "of another key (signature is judged)": await sign(other.privateKey),
  "that has expired": assemble(goodHeader, { ...goodClaims, iat: 1, exp: 2 }),
  "of an unknown key": assemble({ ...goodHeader, kid: "k9" }, goodClaims),
  "that is no token": "x".repeat(500),
  "that is huge": "x".repeat(60_000),
};

for (const [name, token] of Object.entries(tokens)) {
  const accepted = !("check" in (await verifyToken(token, { ...where, now })));
  if (accepted !== (name === "good")) throw new Error(`judged wrongly: ${name}`);
  const cpu = process.cpuUsage();
  const end = performance.now() + forMs;
  let judged = 0;
  for (; performance.now() < end; judged += 1) await verifyToken(token, where);
  const { user, system } = process.cpuUsage(cpu);
  const micros = ((user + system) / judged).toFixed(1);
  console.log(`${name.padEnd(38)} ${Math.round((judged * 1000) / forMs)}/s  ${micros} us CPU each`);
}

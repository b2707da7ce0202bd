/** tlsUpgrade(): credentials that are not there, or not what they should be. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { tlsUpgrade } from "../../src/nbd/index.ts";

const folder = mkdtempSync(join(tmpdir(), "theriac-tls-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("tlsUpgrade()", () => {
  test("tells which file is missing", () => {
    expect(() => tlsUpgrade({ certificates: folder })).toThrow(/ENOENT.*server-cert\.pem/);
    expect(() => tlsUpgrade({ psk: join(folder, "none") })).toThrow(/ENOENT/);
  });

  test("tells what it wants of certificates that are none", () => {
    for (const name of ["server-cert.pem", "server-key.pem"])
      writeFileSync(join(folder, name), "x");
    expect(() => tlsUpgrade({ certificates: folder })).toThrow(/EBADMSG.*in PEM/);
  });

  test.each([
    ["alice", /line 1: want USER:HEX/],
    ["# only words\nalice:xyz\n", /line 2: want USER:HEX/],
    ["# nothing\n\n", /it has no key/],
  ])("tells what it wants of the keys %j", (text, words) => {
    const psk = join(folder, "keys");
    writeFileSync(psk, text);
    expect(() => tlsUpgrade({ psk })).toThrow(words);
  });

  test("takes keys with comments and empty lines", () => {
    const psk = join(folder, "good");
    writeFileSync(psk, "# users\n\nalice:00ff\nbob:AB\n");
    expect(tlsUpgrade({ psk })).toBeTypeOf("function");
  });
});

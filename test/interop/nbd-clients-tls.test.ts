/** The NBD server with TLS: X.509 and pre-shared keys, with libnbd and QEMU. */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { client, makeServed, missingPrograms, type ServedImage } from "./support/nbd-served.ts";

const missing = missingPrograms("nbdinfo", "nbdcopy", "qemu-img", "openssl");
const reason = missing.length === 0 ? "" : ` (skipped: ${missing.join(", ")} missing)`;
const SIZE = 1024 * 1024;
const KEY = "4b9dbbb3a9b1ffb26db4c9a5e1c1c0a6d2f6e7b8a9c0d1e2f3a4b5c6d7e8f901";

/** Certificates of an authority made for this, in the files that GnuTLS programs look for. */
function makeCertificates(folder: string): { server: string; client: string } {
  const [server, own] = [join(folder, "server"), join(folder, "client")];
  mkdirSync(server);
  mkdirSync(own);
  const ca = { key: join(folder, "ca-key.pem"), cert: join(server, "ca-cert.pem") };
  const openssl = (...args: readonly string[]): void => {
    const { status, out } = client("openssl", ...args);
    if (status !== 0) throw new Error(out);
  };
  openssl(
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-days",
    "30",
    "-subj",
    "/CN=authority",
    "-keyout",
    ca.key,
    "-out",
    ca.cert,
  );
  for (const [name, place] of [
    ["server", server],
    ["client", own],
  ] as const) {
    const request = join(folder, `${name}.csr`);
    openssl(
      "req",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-subj",
      "/CN=localhost",
      "-keyout",
      join(place, `${name}-key.pem`),
      "-out",
      request,
    );
    openssl(
      "x509",
      "-req",
      "-days",
      "30",
      "-in",
      request,
      "-CA",
      ca.cert,
      "-CAkey",
      ca.key,
      "-CAcreateserial",
      "-out",
      join(place, `${name}-cert.pem`),
    );
  }
  copyFileSync(ca.cert, join(own, "ca-cert.pem"));
  return { server, client: own };
}

describe.skipIf(missing.length > 0)(`NBD over TLS${reason}`, () => {
  let served: ServedImage;
  beforeEach(() => {
    served = makeServed(SIZE);
  });
  afterEach(() => served.remove());
  const tlsUri = (more: string, user = ""): string =>
    `nbds+unix://${user}/e?socket=${served.socket}&${more}`;

  test("certificates: libnbd and QEMU read all, a plain client gets nothing", async () => {
    const pki = makeCertificates(served.folder);
    await served.serve("--tls-certificates", pki.server);
    const uri = tlsUri(`tls-certificates=${pki.client}&tls-verify-peer=false`);
    expect(client("nbdinfo", "--size", uri).out.trim()).toBe(String(SIZE));
    expect(client("nbdcopy", uri, "null:").status).toBe(0);
    const plain = client("nbdinfo", "--size", served.uri);
    expect(plain.status).toBe(1);
    expect(plain.out).toContain("TLS");
    const qemu = client(
      "qemu-img",
      "info",
      "--object",
      `tls-creds-x509,id=t0,dir=${pki.client},endpoint=client,verify-peer=no`,
      "--image-opts",
      `driver=nbd,server.type=unix,server.path=${served.socket},tls-creds=t0,export=e`,
    );
    expect(qemu.out).toContain("1 MiB");
  });

  test("--tls-verify-peer turns away who has no certificate of the authority", async () => {
    const pki = makeCertificates(served.folder);
    await served.serve("--tls-certificates", pki.server, "--tls-verify-peer");
    const bare = join(served.folder, "bare");
    mkdirSync(bare);
    copyFileSync(join(pki.client, "ca-cert.pem"), join(bare, "ca-cert.pem"));
    const uri = (folder: string): string =>
      tlsUri(`tls-certificates=${folder}&tls-verify-peer=false`);
    expect(client("nbdinfo", "--size", uri(bare)).status).toBe(1);
    expect(client("nbdinfo", "--size", uri(pki.client)).status).toBe(0);
  });

  test("pre-shared keys: the right user with the right key gets in, nobody else", async () => {
    const keys = join(served.folder, "keys.psk");
    writeFileSync(keys, `alice:${KEY}\n`);
    await served.serve("--tls-psk", keys);
    const size = (user: string, file: string): number | null =>
      client("nbdinfo", "--size", tlsUri(`tls-psk-file=${file}`, `${user}@`)).status;
    expect(size("alice", keys)).toBe(0);
    const wrong = join(served.folder, "wrong.psk");
    writeFileSync(wrong, `alice:${KEY.replace("4b", "4c")}\nmallory:${KEY}\n`);
    expect(size("alice", wrong)).toBe(1);
    expect(size("mallory", wrong)).toBe(1);
    expect(size("alice", keys)).toBe(0);
  });
});

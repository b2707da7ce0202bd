/** The NBD client over TLS, against nbdkit: certificates and pre-shared keys. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openNbd } from "../../src/device/index.ts";
import { content, missing, Peers, SIZE, whole, why } from "./support/nbd-peers.ts";

const noTls = missing("nbdkit", "openssl");

let peers = new Peers();
let folder = "";
let image = "";
beforeEach(() => {
  peers = new Peers();
  ({ folder, image } = peers);
});
afterEach(() => peers.end());

/** A certificate authority, and certificates of a server called localhost and of a client, as libnbd lays them out. */
function makePki(pki: string): void {
  const openssl = (...args: readonly string[]): void => {
    const { status, stderr } = spawnSync("openssl", args, { cwd: pki, encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...key,
    "-keyout",
    "ca.key",
    "-out",
    "ca-cert.pem",
    "-subj",
    "/CN=theriac test",
  );
  for (const [name, subject] of [
    ["server", "localhost"],
    ["client", "client"],
  ] as const) {
    writeFileSync(join(pki, `${name}.ext`), "subjectAltName=DNS:localhost\n");
    openssl(
      "req",
      ...key,
      "-keyout",
      `${name}-key.pem`,
      "-out",
      `${name}.csr`,
      "-subj",
      `/CN=${subject}`,
    );
    const ca = ["-CA", "ca-cert.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      ...ca,
      "-extfile",
      `${name}.ext`,
      "-out",
      `${name}-cert.pem`,
    );
  }
}

describe(`TLS${why(noTls, "nbdkit or openssl")}`, () => {
  async function secure(...args: readonly string[]): Promise<string> {
    makePki(folder);
    const uri = await peers.nbdkit(
      "--tls=require",
      `--tls-certificates=${folder}`,
      ...args,
      "file",
      image,
    );
    return uri.replace("nbd+", "nbds+");
  }

  test.skipIf(noTls)("X.509: who answers is proven by name", async () => {
    const uri = await secure("--tls-verify-peer");
    const device = await peers.open(`${uri}&tls-certificates=${folder}&tls-hostname=localhost`);
    const { bytes } = await whole(device);
    expect(Buffer.compare(bytes, content)).toBe(0);
  });

  test.skipIf(noTls)(
    "X.509: refuses another name, an unknown authority, and a plain connection",
    async () => {
      const uri = await secure();
      const other = `${uri}&tls-certificates=${folder}&tls-hostname=elsewhere`;
      await expect(openNbd(other)).rejects.toThrow(/^EACCES: .*Cannot agree on TLS: .*elsewhere/);
      await expect(openNbd(`${uri}&tls-hostname=localhost`)).rejects.toThrow(
        /^EACCES: .*agree on TLS/,
      );
      await expect(openNbd(uri.replace("nbds+", "nbd+"))).rejects.toThrow(
        /^EACCES: .*wants TLS: use nbds/,
      );
      const device = await peers.open(`${uri}&tls-verify-peer=0`);
      expect(device.size).toBe(SIZE);
    },
  );

  test.skipIf(noTls)("pre-shared keys", async () => {
    const keys = join(folder, "keys");
    writeFileSync(keys, `alice:${"ab".repeat(32)}\n`);
    const uri = await peers.nbdkit("--tls=require", `--tls-psk=${keys}`, "file", image);
    const own = uri.replace("nbd+unix:///", "nbds+unix://alice@/");
    const device = await peers.open(`${own}&tls-psk-file=${keys}`);
    const { bytes } = await whole(device);
    expect(Buffer.compare(bytes, content)).toBe(0);
    const bob = uri.replace("nbd+unix:///", "nbds+unix://bob@/");
    await expect(openNbd(`${bob}&tls-psk-file=${keys}`)).rejects.toThrow(
      /^EINVAL: .*want a line bob:HEX/,
    );
  });
});

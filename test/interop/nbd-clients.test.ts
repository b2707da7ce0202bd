/** The NBD server with the clients that others wrote: nbdinfo, nbdcopy, nbdsh, qemu-img, qemu-io, fio, nbd-client. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  client,
  MAIN,
  makeServed,
  missingPrograms,
  type ServedImage,
} from "./support/nbd-served.ts";

const SIZE = 4 * 1024 * 1024;
const missing = missingPrograms(
  "nbdinfo",
  "nbdcopy",
  "nbdsh",
  "qemu-img",
  "qemu-io",
  "fio",
  "nbd-client",
);
const reason = missing.length === 0 ? "" : ` (skipped: ${missing.join(", ")} missing)`;

describe.skipIf(missing.length > 0)(`NBD clients of others${reason}`, () => {
  let served: ServedImage;
  const sh = (code: string, ...more: readonly string[]): ReturnType<typeof client> =>
    client("nbdsh", ...more, "-u", served.uri, "-c", code);

  beforeAll(async () => {
    served = makeServed(SIZE);
    served.theriac("inject", served.image, "--at", "51200", "--length", "512");
    await served.serve();
  });
  afterAll(() => served.remove());

  test("nbdinfo tells size, flags and block sizes; --size agrees with --json", () => {
    const info = JSON.parse(client("nbdinfo", "--json", served.uri).out) as {
      exports: Record<string, unknown>[];
    };
    expect(info.exports[0]).toMatchObject({
      "export-name": "e",
      "export-size": SIZE,
      can_df: true,
      can_multi_conn: true,
      can_fast_zero: true,
      block_size_preferred: 4096,
    });
    expect(client("nbdinfo", "--size", served.uri).out.trim()).toBe(String(SIZE));
    expect(client("nbdinfo", "--can", "cache", served.uri).status).toBe(0);
    expect(client("nbdinfo", "--is", "read-only", served.uri).status).toBe(2);
  });

  test("nbdinfo --list, nbd-client -l and qemu-nbd --list see both faces", () => {
    const all = `nbd+unix:///?socket=${served.socket}`;
    for (const { out } of [
      client("nbdinfo", "--list", all),
      client("nbd-client", "-l", "-unix", served.socket),
      client("qemu-nbd", "--list", "-k", served.socket),
    ])
      expect(out).toMatch(/\be\b[\s\S]*e@recovery/);
  });

  test("S78: nbdsh gets the clean bytes and the error's offset in one reply", () => {
    const code =
      "try: h.pread_structured(65536, 16384, lambda b,o,s,e: print(len(b),o,s,e.value) or 0)\nexcept nbd.Error as ex: print(ex.errno)";
    expect(sh(code).out).toBe("34816 16384 1 0\n0 51200 3 5\n30208 51712 1 5\nEIO\n");
  });

  test("nbdsh prints the server's words, and goes on after an error", () => {
    const debugged = sh(
      "h.set_debug(True)\ntry: h.pread(65536, 0)\nexcept nbd.Error: pass\nprint(len(h.pread(512, 0)))",
    );
    expect(debugged.out).toContain(
      "server message: 512 bytes at offset 51200 are poisoned; a write heals them",
    );
    expect(debugged.out).toMatch(/^512$/m);
  });

  test("a client of simple replies gets EIO for the whole, and good sectors around it", () => {
    const code = [
      "h.set_request_structured_replies(False)",
      `h.connect_uri("${served.uri}")`,
      "try: h.pread(4096, 49152)",
      "except nbd.Error as ex: print(ex.errno)",
      "print(len(h.pread(512, 50688)), len(h.pread(512, 51712)))",
    ].join("\n");
    expect(client("nbdsh", "-c", code).out).toBe("EIO\n512 512\n");
  });

  test("S79: nbdinfo --map shows poison in its context, and never a hole or zeros in base:allocation", () => {
    const map = client("nbdinfo", "--map=x-theriac:poison", "--json", served.uri).out;
    expect(JSON.parse(map)).toContainEqual(
      expect.objectContaining({ offset: 51200, length: 512, type: 1 }),
    );
    const allocation = JSON.parse(client("nbdinfo", "--map", "--json", served.uri).out) as {
      offset: number;
      length: number;
      type: number;
    }[];
    const at = allocation.find(({ offset, length }) => offset <= 51200 && offset + length > 51200);
    expect(at?.type).toBe(0);
    expect(allocation.reduce((sum, { length }) => sum + length, 0)).toBe(SIZE);
  });

  test("qemu-img map sees poison as a dirty bitmap", () => {
    const options = `driver=nbd,server.type=unix,server.path=${served.socket},export=e,x-dirty-bitmap=x-theriac:poison`;
    const map = JSON.parse(
      client("qemu-img", "map", "--output=json", "--image-opts", options).out,
    ) as object[];
    expect(map).toContainEqual(
      expect.objectContaining({ start: 51200, length: 512, present: false }),
    );
  });

  test("qemu-img convert --salvage loses exactly the bad sector", () => {
    const out = join(served.folder, "salvaged");
    const run = client(
      "qemu-img",
      "convert",
      "--salvage",
      "-f",
      "raw",
      "-O",
      "raw",
      served.uri,
      out,
    );
    expect(run.status).toBe(0);
    const wanted = Buffer.from(served.bytes).fill(0, 51200, 51712);
    expect(readFileSync(out).equals(wanted)).toBe(true);
  });

  test("qemu-io reads on after a bad sector", () => {
    const run = client(
      "qemu-io",
      "-r",
      "-f",
      "raw",
      "-c",
      "read 16k 64k",
      "-c",
      "read 0 4k",
      served.uri,
    );
    expect(run.out).toContain("read failed: Input/output error");
    expect(run.out).toContain("read 4096/4096 bytes at offset 0");
  });

  test("nbdcopy stops at a bad sector with exit 1", () => {
    const run = client("nbdcopy", served.uri, "null:");
    expect(run.status).toBe(1);
    expect(run.out).toContain("Input/output error");
  });

  test("bad requests get an error, not the end: nbdsh without its strict mode", () => {
    const code = [
      "h.set_strict_mode(0)",
      `for call in (lambda: h.pread(512, ${SIZE}), lambda: h.pwrite(b"x", ${SIZE}), lambda: h.trim(512, ${SIZE}), lambda: h.zero(512, ${SIZE}), lambda: h.cache(512, 0, 1 << 14)):`,
      "  try: call()",
      "  except nbd.Error as ex: print(ex.errno)",
      "print(len(h.pread(512, 0)))",
    ].join("\n");
    expect(sh(code).out).toBe("EINVAL\nENOSPC\nEINVAL\nENOSPC\nEINVAL\n512\n");
  });

  test("a write heals, and what is injected while it is served fails at once", () => {
    expect(
      sh("h.pwrite(b'\\x5a' * 512, 51200)\nprint(h.pread(512, 51200) == b'\\x5a' * 512)").out,
    ).toBe("True\n");
    expect(client("nbdcopy", served.uri, "null:").status).toBe(0);
    expect(served.theriac("inject", served.image, "--at", "1M", "--length", "512").status).toBe(0);
    expect(client("nbdcopy", served.uri, "null:").status).toBe(1);
    expect(served.theriac("list", served.image).stdout).toMatch(/1048576 +512 +poisoned/);
    expect(sh("h.zero(512, 1048576)\nprint(h.pread(512, 1048576) == bytes(512))").out).toBe(
      "True\n",
    );
  });
});

describe.skipIf(missing.length > 0)(`NBD clients of others on good media${reason}`, () => {
  let served: ServedImage;
  beforeAll(async () => {
    served = makeServed(SIZE);
    await served.serve();
  });
  afterAll(() => served.remove());

  test("nbdcopy there and back is the same, and qemu-img compare agrees", () => {
    const [from, to] = [join(served.folder, "from"), join(served.folder, "to")];
    writeFileSync(from, Buffer.from(served.bytes).reverse());
    expect(client("nbdcopy", "--flush", from, served.uri).status).toBe(0);
    expect(client("nbdcopy", served.uri, to).status).toBe(0);
    expect(readFileSync(to).equals(readFileSync(from))).toBe(true);
    const run = client("qemu-img", "compare", "-f", "raw", "-F", "raw", served.uri, from);
    expect(run.out).toContain("Images are identical");
  });

  test("qemu-io writes, zeroes, discards and flushes", () => {
    const commands = [
      "write -P 0x5a 256k 4k",
      "read -P 0x5a 256k 4k",
      "write -z 512k 64k",
      "read -P 0 512k 64k",
      "discard 0 4k",
      "flush",
    ];
    const run = client(
      "qemu-io",
      "-f",
      "raw",
      ...commands.flatMap((command) => ["-c", command]),
      served.uri,
    );
    expect(run.status).toBe(0);
    expect(run.out).not.toMatch(/fail|error/i);
  });

  test("fio writes and verifies", () => {
    const run = client(
      "fio",
      "--name=v",
      "--ioengine=nbd",
      `--uri=${served.uri}`,
      "--rw=randwrite",
      "--bs=4k",
      "--size=4M",
      "--iodepth=16",
      "--verify=crc32c",
      "--do_verify=1",
      `--aux-path=${served.folder}`,
    );
    expect(run.status).toBe(0);
    expect(run.out).toContain("err= 0");
  });

  test("qemu-img bench reads and writes", () => {
    for (const more of [[], ["-w"]])
      expect(
        client(
          "qemu-img",
          "bench",
          ...more,
          "-f",
          "raw",
          "-t",
          "none",
          "-c",
          "500",
          "-d",
          "16",
          "-s",
          "4096",
          served.uri,
        ).status,
      ).toBe(0);
  });

  test("a socket that is handed over is served: nbdinfo -- [ theriac serve … ]", async () => {
    const other = makeServed(65_536);
    const captive = [process.execPath, MAIN, "serve", other.image];
    const info = JSON.parse(client("nbdinfo", "--json", "--", "[", ...captive, "]").out) as {
      exports: object[];
    };
    expect(info.exports[0]).toMatchObject({ "export-size": 65_536 });
    expect(client("nbdcopy", "--", "[", ...captive, "]", "null:").status).toBe(0);
    await other.remove();
  });

  test("it ends with 0, and takes its sockets away", async () => {
    expect(await served.stop()).toBe(0);
    expect(client("nbdinfo", "--size", served.uri).status).toBe(1);
    expect(served.theriac("list", served.image).status).toBe(0);
  });
});

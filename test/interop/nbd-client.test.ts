/** The NBD client against the servers of others: nbdkit, qemu-nbd, nbd-server. */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openNbd } from "../../src/device/index.ts";
import { openTarget, salvage, scan, wholeTarget } from "../../src/rescue/index.ts";
import { content, missing, Peers, seed, SIZE, whole, why } from "./support/nbd-peers.ts";

const noNbdkit = missing("nbdkit");
const noQemu = missing("qemu-nbd", "qemu-img");
const noServer = missing("nbd-server");

let peers = new Peers();
let folder = "";
let image = "";
beforeEach(() => {
  peers = new Peers();
  ({ folder, image } = peers);
});
afterEach(() => peers.end());

/** An nbdkit plugin in shell whose sectors 100 and 200 to 203 fail until they are written whole. */
function dyingDisk(): string {
  const list = join(folder, "bad");
  writeFileSync(list, "51200:51712 102400:104448");
  const script = join(folder, "dying.sh");
  writeFileSync(
    script,
    `#!/bin/sh
image='${image}' list='${list}'
touches() { [ "$1" -lt "\${3#*:}" ] && [ $(($1 + $2)) -gt "\${3%:*}" ]; }
case "$1" in
  get_size) stat -c %s "$image" ;;
  can_write | can_flush) exit 0 ;;
  flush) exit 0 ;;
  pread)
    for bad in $(cat "$list"); do touches "$4" "$3" "$bad" && { echo "EIO medium error" >&2; exit 1; }; done
    dd if="$image" iflag=skip_bytes,count_bytes skip="$4" count="$3" bs=64K status=none ;;
  pwrite)
    dd of="$image" oflag=seek_bytes conv=notrunc seek="$4" bs=64K status=none
    left=
    for bad in $(cat "$list"); do
      [ "$4" -le "\${bad%:*}" ] && [ $(($4 + $3)) -ge "\${bad#*:}" ] || left="$left $bad"
    done
    echo "$left" >"$list" ;;
  *) exit 2 ;;
esac
`,
    { mode: 0o755 },
  );
  return script;
}

const DYING = [
  { offset: 51_200, length: 512, state: "poisoned" as const },
  { offset: 102_400, length: 2048, state: "poisoned" as const },
];

describe(`nbdkit${why(noNbdkit, "nbdkit")} (SEED=${seed})`, () => {
  test.skipIf(noNbdkit)(
    "memory: what is written comes back, and holes are passed over",
    async () => {
      const device = await peers.open(await peers.nbdkit("memory", "1T"));
      expect(device.holeFrom?.(0)).toBeGreaterThanOrEqual(2 ** 30);
      await device.write(content, 2 ** 39 + 77);
      await device.flush();
      const into = new Uint8Array(SIZE);
      await device.read(into, 2 ** 39 + 77);
      expect(Buffer.compare(into, content)).toBe(0);
    },
  );

  test.skipIf(noNbdkit)("pattern: every offset gives its own bytes", async () => {
    const device = await peers.open(await peers.nbdkit("pattern", "1G"));
    const into = new Uint8Array(16);
    await device.read(into, 2 ** 29);
    expect(Buffer.from(into).readBigUInt64BE(8)).toBe(2n ** 29n + 8n);
  });

  test.skipIf(noNbdkit)(
    "error filter: a fail-fast read is right or missing, and nothing is listed",
    async () => {
      const args = ["--filter=error", "file", image, "error-pread-rate=30%"];
      const device = await peers.open(await peers.nbdkit(...args));
      const into = new Uint8Array(65_536);
      for (let offset = 0; offset < SIZE; offset += into.length) {
        const { missing: holes } = await device.read(into, offset, "failFast");
        if (holes.length === 0)
          expect(Buffer.compare(into, content.subarray(offset, offset + into.length))).toBe(0);
      }
      expect(device.poison.empty).toBe(true);
    },
  );

  test.skipIf(noNbdkit)("R1, R4: a dying disk is read around, healed, and read back", async () => {
    const device = await peers.open(await peers.nbdkit("sh", dyingDisk()));
    const first = await whole(device);
    expect(first.missing).toEqual(DYING);
    const wanted = content.slice();
    for (const { offset, length } of DYING) wanted.fill(0, offset, offset + length);
    expect(Buffer.compare(first.bytes, wanted)).toBe(0);
    const answers = await device.heal(
      DYING.map(({ offset, length }) => ({
        offset,
        data: content.subarray(offset, offset + length),
      })),
    );
    expect(answers).toEqual([undefined, undefined]);
    const { bytes, missing: left } = await whole(device);
    expect([left, Buffer.compare(bytes, content), device.poison.empty]).toEqual([[], 0, true]);
  });

  test.skipIf(noNbdkit)(
    "R9: a dying disk is a target: it is scanned and salvaged by its URI",
    async () => {
      const uri = await peers.nbdkit("sh", dyingDisk());
      const target = await openTarget(uri);
      try {
        expect(await scan(target)).toEqual({ read: SIZE - 2560, missing: 2560 });
        const out = join(folder, "out.img");
        const { bad, holes } = await salvage(wholeTarget(target), out);
        expect([bad, holes.map(({ offset, length }) => [offset, length])]).toEqual([
          2560,
          DYING.map(({ offset, length }) => [offset, length]),
        ]);
        const wanted = content.slice();
        for (const { offset, length } of DYING) wanted.fill(0, offset, offset + length);
        expect(Buffer.compare(readFileSync(out), wanted)).toBe(0);
      } finally {
        await target.close();
      }
    },
  );

  test.skipIf(noNbdkit)(
    "truncate and delay filters: an odd size, and many requests in flight",
    async () => {
      const args = ["--filter=truncate", "--filter=delay", "file", image];
      const device = await peers.open(
        await peers.nbdkit(...args, `truncate=${SIZE - 13}`, "rdelay=5ms"),
      );
      expect(device.size).toBe(SIZE - 13);
      const { bytes } = await whole(device);
      expect(Buffer.compare(bytes, content.subarray(0, SIZE - 13))).toBe(0);
      await device.write(content.subarray(0, 100), SIZE - 113);
    },
  );

  test.skipIf(noNbdkit)(
    "blocksize-policy filter: a server that refuses what is no whole block",
    async () => {
      const device = await peers.open(
        await peers.nbdkit(
          "--filter=blocksize-policy",
          "file",
          image,
          "blocksize-error-policy=error",
          "blocksize-minimum=4096",
          "blocksize-preferred=4096",
          "blocksize-maximum=65536",
        ),
      );
      await device.write(content.subarray(0, 10_000), 5000);
      const wanted = content.slice();
      wanted.set(content.subarray(0, 10_000), 5000);
      const { bytes } = await whole(device);
      expect(Buffer.compare(bytes, wanted)).toBe(0);
      expect(device.capabilities.clearUnit).toBe(4096);
    },
  );

  test.skipIf(noNbdkit)("a read-only server: reads, and EACCES for a write", async () => {
    const device = await peers.open(await peers.nbdkit("-r", "file", image));
    expect(device.capabilities.readOnly).toBe(true);
    await expect(async () => await device.write(new Uint8Array(1), 0)).rejects.toThrow(/^EACCES/);
  });
});

describe(`qemu-nbd${why(noQemu, "qemu-nbd")}`, () => {
  test.skipIf(noQemu)("qcow2: read, written, holes known", async () => {
    const disk = join(folder, "disk.qcow2");
    spawnSync("qemu-img", ["create", "-q", "-f", "qcow2", disk, "64M"]);
    const socket = join(folder, "qemu");
    await peers.start("qemu-nbd", ["-t", "-f", "qcow2", "-k", socket, "-x", "disk", disk], socket);
    const device = await peers.open(`nbd+unix:///disk?socket=${socket}`);
    await device.write(content, 1_000_000);
    await device.flush();
    const { bytes } = await whole(device);
    expect(Buffer.compare(bytes.subarray(1_000_000, 1_000_000 + SIZE), content)).toBe(0);
    await device.close();
    const again = await peers.open(`nbd+unix:///disk?socket=${socket}`, { access: "read" });
    expect(again.holeFrom?.(32 * 1024 * 1024)).toBe(32 * 1024 * 1024);
  });
});

/** A server of one connection: that is what it does without forking. */
async function nbdServer(name: string): Promise<string> {
  const socket = join(folder, name);
  const config = join(folder, `${name}.conf`);
  const text = `[generic]\nunixsock = ${socket}\n[disk]\nexportname = ${image}\nflush = true\n`;
  writeFileSync(config, text);
  await peers.start("nbd-server", ["-d", "-C", config], socket);
  return socket;
}

describe(`qemu-nbd on media that fail${why(noQemu, "qemu-nbd")}`, () => {
  test.skipIf(noQemu)("R1: what it hangs up on is read around", async () => {
    const rules = join(folder, "rules");
    const rule = '[inject-error]\nevent = "read_aio"\nerrno = "5"\nsector = "200"\nonce = "off"\n';
    writeFileSync(rules, rule);
    const socket = join(folder, "qemu");
    const driver = `driver=raw,file.driver=blkdebug,file.config=${rules}`;
    const source = `${driver},file.image.driver=file,file.image.filename=${image}`;
    await peers.start(
      "qemu-nbd",
      ["-t", "-k", socket, "-x", "disk", "--image-opts", source],
      socket,
    );
    const device = await peers.open(`nbd+unix:///disk?socket=${socket}`);
    const { bytes, missing: holes } = await whole(device);
    expect(holes).toEqual([{ offset: 102_400, length: 512, state: "poisoned" }]);
    const wanted = content.slice();
    wanted.fill(0, 102_400, 102_912);
    expect(Buffer.compare(bytes, wanted)).toBe(0);
  });
});

describe(`nbd-server${why(noServer, "nbd-server")}`, () => {
  test.skipIf(noServer)("simple replies and no block status: read and written", async () => {
    const device = await peers.open(`nbd+unix:///disk?socket=${await nbdServer("one")}`);
    await device.write(content.subarray(0, 1000), 500);
    await device.flush();
    const wanted = content.slice();
    wanted.set(content.subarray(0, 1000), 500);
    const { bytes } = await whole(device);
    expect(Buffer.compare(bytes, wanted)).toBe(0);
  });

  test.skipIf(noServer)("an export that it does not have", async () => {
    const uri = `nbd+unix:///other?socket=${await nbdServer("two")}`;
    await expect(openNbd(uri)).rejects.toThrow(/^ENOENT: .*no export "other"/);
  });
});

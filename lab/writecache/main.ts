/**
 * Caches between Linux and Theriac, in a folder: NAME.origin and NAME.cache are images, NAME.args is the row over them, NAME.wanted what it reads as.
 *
 *     main.js read FOLDER SUFFIX NAME...  # opens them for reading, wants NAME.SUFFIX, and nothing written
 *     main.js make FOLDER SEED            # makes some, every one in the middle of work
 *     main.js pack FOLDER FILE NAME...    # keeps some in one file, for test/interop/writecache-images.test.ts
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createPrng, type Prng } from "../../src/base/index.ts";
import { openStack, type OpenStack } from "../../src/mapper/index.ts";
import { packImages } from "./pack.ts";

/** Sectors of every origin: 128 KiB. */
const SECTORS = 256;
const CACHE_BYTES = 40 * 4096;

const MADE: Readonly<Record<string, string>> = {
  "our-disk": "s origin cache 4096 2 autocommit_time 3600000",
  "our-sectors": "s origin cache 512 2 start_sector 16",
  "our-full": "s origin cache 4096 4 start_sector 200 high_watermark 90",
  "our-pmem": "p origin cache 4096 2 high_watermark 100",
  "our-pmem-often": "p origin cache 4096 4 autocommit_blocks 2 high_watermark 100",
};

function stackOf(folder: string, name: string): string {
  const args = readFileSync(join(folder, `${name}.args`), "utf8").trim();
  const path = join(folder, `${name}.stack`);
  writeFileSync(
    path,
    `device origin ${name}.origin\ndevice cache ${name}.cache\nwc: 0 ${SECTORS} writecache ${args}\n`,
  );
  return path;
}

function digest(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

async function contentOf({ device }: Pick<OpenStack, "device">): Promise<Uint8Array> {
  const bytes = new Uint8Array(device.size);
  const { missing } = await device.read(bytes, 0);
  if (missing.length > 0) throw new Error(`bytes are missing: ${JSON.stringify(missing)}`);
  return bytes;
}

/** @returns bytes that differ */
async function readOne(folder: string, name: string, suffix: string): Promise<number> {
  const images = ["origin", "cache"].map((kind) => join(folder, `${name}.${kind}`));
  const before = images.map(digest);
  const stack = await openStack(stackOf(folder, name));
  const bytes = await contentOf(stack);
  const status = stack.table.rows[0]?.target;
  const state = status?.kind === "device" ? status.status?.() : undefined;
  await stack.device.close();
  const wanted = readFileSync(join(folder, `${name}.${suffix}`));
  const wrong = bytes.reduce((sum, byte, at) => sum + (byte === wanted[at] ? 0 : 1), 0);
  const touched = images.some((path, at) => digest(path) !== before[at]);
  console.log(
    `${name}: ${wrong} bytes differ from ${suffix}, status ${state}${touched ? ", images WRITTEN" : ""}`,
  );
  return touched ? wrong + 1 : wrong;
}

async function makeOne(folder: string, name: string, prng: Prng): Promise<void> {
  writeFileSync(join(folder, `${name}.args`), `${MADE[name]}\n`);
  writeFileSync(join(folder, `${name}.origin`), prng.bytes(SECTORS * 512));
  writeFileSync(join(folder, `${name}.cache`), new Uint8Array(CACHE_BYTES));
  const path = stackOf(folder, name);
  for (let round = 0; round < 3; round += 1) {
    const { device, table } = await openStack(path, { access: "write" });
    const target = table.rows[0]?.target;
    for (let step = 0; step < 12; step += 1) {
      const offset = prng.below(device.size - 1);
      const length = 1 + prng.below(Math.min(device.size - offset, 20_000));
      await device.write(prng.bytes(length), offset);
      if (prng.chance(0.2)) await device.flush();
      if (step === 4 && round < 2 && target?.kind === "device") await target.message?.(["flush"]);
    }
    await device.flush();
    writeFileSync(join(folder, `${name}.wanted`), await contentOf({ device }));
    // left in the middle of work: in mode "p", with no commit by number, what nobody flushed is not there for whoever opens the images next
    if (name === "our-pmem") await device.write(prng.bytes(9000), 20_000);
    const images = ["origin", "cache"].map((kind) => join(folder, `${name}.${kind}`));
    const left = images.map((image) => readFileSync(image));
    await device.close();
    for (const [at, image] of images.entries()) writeFileSync(image, left[at] as Uint8Array);
  }
}

async function main([action, folder = "", ...rest]: readonly string[]): Promise<number> {
  if (action === "make") {
    const prng = createPrng(Number(rest[0] ?? 1));
    for (const name of Object.keys(MADE)) await makeOne(folder, name, prng);
    console.log(Object.keys(MADE).join(" "));
    return 0;
  }
  const [suffix = "wanted", ...names] = rest;
  if (action === "pack") {
    writeFileSync(suffix, packImages(folder, names));
    return 0;
  }
  let wrong = 0;
  for (const name of names) {
    if (existsSync(join(folder, `${name}.${suffix}`))) wrong += await readOne(folder, name, suffix);
    else throw new Error(`${name}.${suffix} is not there`);
  }
  return wrong === 0 && names.length > 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));

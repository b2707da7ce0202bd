/**
 * Mirrors and raid1 sets beside a real kernel: ones made here are accepted by Linux, which copies the region that they call apart from the leg
 * that is right; ones made by Linux are read here. Ends with 1 where anything differs.
 *
 *     npm run lab:mirrors
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createPrng } from "../../src/base/index.ts";
import { openStack } from "../../src/mapper/index.ts";

const SECTORS = 2048;
const SIZE = SECTORS * 512;
const REGION = 64 * 512;
const LEGS = ["ma", "mb", "ra", "rb", "la", "lb", "qa", "qb"];
const METAS = ["mlog", "ram", "rbm", "llog", "qam", "qbm"];
const TABLES: Readonly<Record<string, string>> = {
  m: "mirror disk 3 mlog 64 nosync 2 ma 0 mb 0",
  r: "raid raid1 4 0 nosync region_size 64 2 ram ra rbm rb",
  l: "mirror disk 2 llog 64 2 la 0 lb 0",
  q: "raid raid1 3 0 region_size 64 2 qam qa qbm qb",
};

let failures = 0;

function expect(what: string, is: boolean): void {
  console.log(`${is ? "ok" : "DIFFERS"}: ${what}`);
  if (!is) failures += 1;
}

function stackOf(folder: string, name: string): string {
  const devices = [...LEGS, ...METAS]
    .filter((one) => TABLES[name]?.split(" ").includes(one))
    .map((one) => `device ${one} ${one}.img\n`);
  const path = join(folder, `${name}.stack`);
  writeFileSync(path, `${devices.join("")}${name}: 0 ${SECTORS} ${TABLES[name]}\n`);
  return path;
}

/** A mirror that a crash left: region 3 is noted, leg b holds other bytes there. */
async function make(folder: string, name: string, content: Uint8Array): Promise<void> {
  const { device } = await openStack(stackOf(folder, name), { access: "write" });
  await device.write(content, 0);
  await device.flush();
  await device.write(content.subarray(3 * REGION, 3 * REGION + 512), 3 * REGION);
  // the log as it is now, before closing lets the region go
  const metas = METAS.filter((meta) => TABLES[name]?.split(" ").includes(meta));
  for (const meta of metas) copyFileSync(join(folder, `${meta}.img`), join(folder, `${meta}.now`));
  await device.close();
  for (const meta of metas) copyFileSync(join(folder, `${meta}.now`), join(folder, `${meta}.img`));
  const leg = join(folder, `${name}b.img`);
  const bytes = readFileSync(leg);
  bytes.fill(0xee, 3 * REGION, 3 * REGION + 512);
  writeFileSync(leg, bytes);
}

async function compare(folder: string, name: string, content: Uint8Array): Promise<void> {
  const { device, table } = await openStack(stackOf(folder, name));
  const into = new Uint8Array(SIZE);
  const { missing } = await device.read(into, 0);
  expect(
    `${name}: made by Linux, read here`,
    missing.length === 0 && Buffer.compare(into, content) === 0,
  );
  expect(`${name}: every leg is in sync`, isUniform(table.rows[0]?.target));
  await device.close();
}

function isUniform(target: unknown): boolean {
  const { device } = target as {
    readonly device: { readonly copies: { readonly uniform: boolean } };
  };
  return device.copies.uniform;
}

async function main(): Promise<void> {
  const root = join(import.meta.dirname, "../../../..");
  const folder = mkdtempSync(join(root, ".work/mirrors-"));
  try {
    const content = createPrng(1).bytes(SIZE);
    for (const name of [...LEGS, ...METAS])
      writeFileSync(join(folder, `${name}.img`), new Uint8Array(SIZE));
    writeFileSync(join(folder, "content"), content);
    for (const name of ["m", "r"]) await make(folder, name, content);
    execFileSync(join(root, "lab/boot.sh"), [join(root, "lab/mirrors/guest.sh"), folder], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    const sum = createHash("sha256").update(content).digest("hex");
    for (const name of ["m", "r"]) {
      const read = readFileSync(join(folder, `${name}.sum`), "utf8");
      expect(`${name}: made here, read by Linux`, read.startsWith(sum));
      console.log(`    ${readFileSync(join(folder, `${name}.status`), "utf8").trim()}`);
      const leg = readFileSync(join(folder, `${name}b.img`));
      expect(`${name}: Linux copied what is in doubt`, Buffer.compare(leg, content) === 0);
    }
    for (const name of ["m", "r", "l", "q"]) await compare(folder, name, content);
  } finally {
    if (process.env["KEEP"] === undefined) rmSync(folder, { recursive: true });
  }
  process.exitCode = failures === 0 ? 0 : 1;
}

await main();

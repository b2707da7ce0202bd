/** heal: files and devices of emulated persistent memory, surveyed, salvaged and healed by the project in the guest; looked at by the kernel's own programs. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SECTOR, type Prng } from "../../src/base/index.ts";
import type { Checks } from "./checks.ts";
import { bootRuntime } from "./runtime.ts";
import { namedIn, Told, type Repair, type Survey } from "./told.ts";

const PAGE = 4096;
/** Bytes of the file: the last page is a part of one. */
const BOOK = 41 * PAGE + 1907;

function checkFile(told: Told, checks: Checks, book: Buffer): void {
  const pages = Math.floor(BOOK / PAGE);
  const bad = [
    [3 * PAGE, PAGE],
    [7 * PAGE + 3 * SECTOR, 2 * SECTOR],
    [pages * PAGE, SECTOR],
  ] as const;
  told.ended("dax.read", 1);
  const survey = told.document<Survey>("dax.survey", 1);
  if (survey !== undefined) {
    checks.is(
      "dax.survey: the file and its bytes",
      namedIn(survey, "/book") === JSON.stringify(bad),
      namedIn(survey, "/book"),
    );
    checks.is(
      "dax.survey: slack is told, and is not missing",
      survey.totals.poisoned === survey.missing + SECTOR,
      JSON.stringify(survey.totals),
    );
  }
  const device = told.document<Survey>("device.survey", 1);
  if (device !== undefined)
    checks.is(
      "device.survey: the same by the map on the device",
      namedIn(device, "/book") === JSON.stringify(bad),
      namedIn(device, "/book"),
    );
  if (told.document("dax.salvage", 1) !== undefined) {
    const expected = Buffer.from(book);
    for (const [offset, length] of bad) expected.fill(0, offset, offset + length);
    const out = readFileSync(join(told.shared, "dax.out"));
    checks.is("dax.salvage: every clean byte came (R1)", Buffer.compare(out, expected) === 0);
  }
  told.document("asked", 4);
  checks.is(
    "asked: says --yes",
    told.text("asked.json").includes("--yes"),
    told.text("asked.json"),
  );
  told.document("mounted", 4);
  checks.is(
    "mounted: says where",
    told.text("mounted.json").includes("mounted at"),
    told.text("mounted.json"),
  );
  told.document("held", 4);
  checks.is("held: says who", told.text("held.json").includes("open"), told.text("held.json"));
  told.document("refused", 1);
  checks.is(
    "refused: the list stays (R5)",
    told.text("refused.list") === told.text("dax.list"),
    told.text("refused.list"),
  );
  const repair = told.document<Repair>("dax.repair", 0);
  if (repair !== undefined) {
    checks.is(
      "dax.repair: nothing is missing, nothing moved (R8)",
      repair.missing === 0 && repair.moved.length === 0,
      JSON.stringify(repair),
    );
  }
  checks.is(
    "dax.repair: the kernel's list is empty",
    told.text("dax.after.list") === "",
    told.text("dax.after.list"),
  );
  checks.is(
    "dax.repair: the kernel's extents are the same (R8)",
    told.text("dax.after") === told.text("dax.before"),
    told.text("dax.after"),
  );
  checks.is(
    "dax.repair: size and time are the same",
    told.text("dax.stat") === `${BOOK} 1700000000`,
    told.text("dax.stat"),
  );
  told.ended("dax.equal", 0);
  told.document("dax.again", 0);
}

function checkRaw(told: Told, checks: Checks): void {
  const survey = told.document<Survey>("raw.survey", 1);
  if (survey !== undefined)
    checks.is(
      "raw.survey: the file and its bytes",
      namedIn(survey, "/book") ===
        JSON.stringify([
          [5 * PAGE, PAGE],
          [9 * PAGE + SECTOR, SECTOR],
        ]),
      namedIn(survey, "/book"),
    );
  const repair = told.document<Repair>("raw.repair", 0);
  if (repair !== undefined) checks.is("raw.repair: nothing is missing", repair.missing === 0);
  checks.is(
    "raw.repair: the kernel's list is empty",
    told.text("raw.after.list") === "",
    told.text("raw.after.list"),
  );
  told.ended("raw.equal", 0);
}

/** The lease and the crash, on page 12 of the file. */
function checkInterrupted(told: Told, checks: Checks): void {
  checks.is(
    "lease: who opens the file waits, and nothing is written",
    told.text("lease") === "bad 1\nEAGAIN\nEBUSY\nclose EBUSY" ||
      told.text("lease") === "bad 1\nEAGAIN\nEBUSY",
    told.text("lease"),
  );
  checks.is("lease: the kernel's list stays", told.text("lease.list") !== "");
  told.ended("killed", 137);
  checks.is("killed: nothing is healed", told.text("killed.list") === told.text("lease.list"));
  const resumed = told.document<Repair>("resumed", 0);
  if (resumed !== undefined) checks.is("resumed: nothing is missing", resumed.missing === 0);
  checks.is("resumed: the kernel's list is empty", told.text("resumed.list") === "");
  told.ended("resumed.equal", 0);
}

/** A stripe, a disk that lists nothing, and a mirror. */
function checkStacks(told: Told, checks: Checks): void {
  const stripe = told.document<Survey>("stripe.survey", 1);
  const bad = [4, 5, 7].map((page) => [page * PAGE, 3 * SECTOR]);
  if (stripe !== undefined)
    checks.is(
      "stripe.survey: the legs' lists are the file's bytes",
      namedIn(stripe, "/book") === JSON.stringify(bad),
      namedIn(stripe, "/book"),
    );
  told.document<Repair>("stripe.repair", 0);
  checks.is(
    "stripe.repair: the legs' lists are empty",
    told.text("stripe.list") === "",
    told.text("stripe.list"),
  );
  checks.is(
    "stripe.repair: extents are the same (R8)",
    told.text("stripe.before") === told.text("stripe.after"),
  );
  told.ended("stripe.equal", 0);
  told.ended("dust.read", 1);
  const dust = told.document<Survey>("dust.survey", 1);
  const pages = Math.floor(BOOK / PAGE);
  const sectors = [3 * PAGE, 20 * PAGE + 5 * SECTOR, pages * PAGE].map((at) => [at, SECTOR]);
  if (dust !== undefined)
    checks.is(
      "dust.survey: reading finds the sectors",
      namedIn(dust, "/book") === JSON.stringify(sectors),
      namedIn(dust, "/book"),
    );
  told.document<Repair>("dust.repair", 0);
  checks.is(
    "dust.repair: no bad sector is left",
    told.text("dust.count").includes(": 0"),
    told.text("dust.count"),
  );
  told.ended("dust.equal", 0);
  checks.is(
    "dust.repair: size and time are the same",
    told.text("dust.stat") === `${BOOK} 1700000000`,
    told.text("dust.stat"),
  );
  const md = told.document<Survey>("md.survey", 1);
  if (md !== undefined)
    checks.is(
      "md.survey: what both members list",
      namedIn(md, "/book") === JSON.stringify([[6 * PAGE, 2 * SECTOR]]),
      namedIn(md, "/book"),
    );
  console.log(
    `  md.repair ended with ${told.text("md.repair.status")}; listed afterwards: ${told.text("md.after.list").replaceAll("\n", ", ") || "nothing"}`,
  );
}

/** Boots once, heals, and checks. @param on the project's root, a folder of our own, and the disk with the runtime */
export function checkHealing(
  checks: Checks,
  prng: Prng,
  on: { readonly root: string; readonly folder: string; readonly disk: string },
): void {
  const shared = join(on.folder, "heal");
  mkdirSync(shared);
  const book = Buffer.from(prng.bytes(BOOK));
  writeFileSync(join(shared, "book"), book);
  for (const name of ["lease.mjs", "killed.mjs"])
    cpSync(join(on.root, "lab/live", name), join(shared, name));
  bootRuntime("live/heal.sh", { ...on, shared, limitSeconds: 1500 });
  const told = new Told(shared, checks);
  checkFile(told, checks, book);
  checkInterrupted(told, checks);
  checkRaw(told, checks);
  checkStacks(told, checks);
}

/** heal: files and devices of emulated persistent memory, surveyed, salvaged and healed by the project in the guest; looked at by the kernel's own programs. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SECTOR, type Prng } from "../../src/base/index.ts";
import type { Checks } from "./checks.ts";

const PAGE = 4096;
/** Bytes of the file: the last page is a part of one. */
const BOOK = 41 * PAGE + 1907;

interface Survey {
  readonly missing: number;
  readonly totals: { readonly total: number; readonly poisoned: number; readonly lost: number };
  readonly damage: readonly {
    readonly offset: number;
    readonly length: number;
    readonly owners: readonly {
      readonly kind: string;
      readonly paths?: readonly string[];
      readonly ranges: readonly { readonly offset: number; readonly length: number }[];
    }[];
  }[];
}

interface Repair {
  readonly missing: number;
  readonly moved: readonly string[];
  readonly sums: Readonly<Record<string, number>>;
  readonly steps: readonly { readonly outcome: string; readonly failure?: string }[];
}

/** What the guest left. */
class Told {
  readonly shared: string;
  readonly #checks: Checks;

  constructor(shared: string, checks: Checks) {
    this.shared = shared;
    this.#checks = checks;
  }

  text(name: string): string {
    return readFileSync(join(this.shared, name), "utf8").trim();
  }

  /** Checks an exit code. @returns the document; `undefined` where it is another code */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  document<T>(name: string, code: number): T | undefined {
    const [status, said] = [this.text(`${name}.status`), this.text(`${name}.err`)];
    const document = this.text(`${name}.json`);
    this.#checks.is(
      `${name}: ends with ${code}`,
      status === String(code),
      `${status}: ${said} ${document.slice(0, 1500)}`,
    );
    return status === String(code) ? (JSON.parse(document) as T) : undefined;
  }

  /** Checks the exit code of a program that is not ours. */
  ended(name: string, code: number): void {
    const status = this.text(`${name}.status`);
    this.#checks.is(
      `${name}: ends with ${code}`,
      (status === "0") === (code === 0),
      `${status}: ${this.text(name).slice(0, 300)}`,
    );
  }
}

/** Ranges of the book's content that a survey names. */
function namedIn(survey: Survey, path: string): string {
  const ranges = survey.damage.flatMap(({ owners }) =>
    owners
      .filter(({ kind, paths }) => kind === "file" && paths?.includes(path) === true)
      .flatMap(({ ranges: found }) => found),
  );
  return JSON.stringify(ranges.map(({ offset, length }) => [offset, length]));
}

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
  execFileSync(join(on.root, "lab/boot.sh"), [join(on.root, "lab/live/heal.sh"), shared], {
    env: { ...process.env, DISKS: on.disk },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const told = new Told(shared, checks);
  checkFile(told, checks, book);
  checkRaw(told, checks);
}

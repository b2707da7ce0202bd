/** Maps against GNU ddrescuelog: the same verdicts on anything, and a round trip through it without loss (S74, S75). */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createPrng, MAX_OFFSET, StorageError, type Prng } from "../../src/base/index.ts";
import {
  formatMapfile,
  parseMapfile,
  PoisonList,
  type PoisonState,
} from "../../src/poison/index.ts";

const program = spawnSync("ddrescuelog", ["--version"], { encoding: "utf8" });
const version = /ddrescuelog (\S+)/.exec(program.stdout ?? "")?.[1];
const reason = version ?? "(skipped: ddrescuelog is not installed)";
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
const folder = mkdtempSync(join(tmpdir(), "theriac-map-"));
const path = join(folder, "map");

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Whether ddrescuelog accepts a map: exit 2 is "corrupt". */
function peerAccepts(text: string): boolean {
  writeFileSync(path, text, "latin1");
  const { status } = spawnSync("ddrescuelog", ["-t", path]);
  if (status !== 0 && status !== 2) throw new Error(`ddrescuelog ended with ${status}`);
  return status === 0;
}

function weAccept(text: string): boolean {
  try {
    parseMapfile(text, { size: MAX_OFFSET });
    return true;
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    // Places that no number of ours can hold are refused because of the device, not because of the form.
    return / want an offset below the device's end /.test(error.message);
  }
}

function randomMap(prng: Prng): string {
  const lines = [
    "# Mapfile",
    `0x${prng.below(4096).toString(16)} ${prng.pick("?*/-FG+".split(""))} ${1 + prng.below(3)}`,
  ];
  let at = prng.chance(0.2) ? prng.below(1000) : 0;
  for (let count = prng.below(6); count > 0; count -= 1) {
    const length = 1 + prng.below(prng.chance(0.5) ? 100 : 2 ** 40);
    const write = (value: number): string =>
      prng.pick([String(value), `0x${value.toString(16).toUpperCase()}`, `0${value.toString(8)}`]);
    lines.push(
      `${write(at)}  ${write(length)}  ${prng.pick("?*/-+".split(""))}${prng.pick(["", " junk", " # word", "\r"])}`,
    );
    at += length;
  }
  return `${lines.join("\n")}${prng.pick(["\n", "", "\n\n"])}`;
}

const ALPHABET = [
  ..."0123456789xXaAfF+-?*/# \t\n\r\v\fFGz,.".split(""),
  "0x",
  " - ",
  "\n0 1 +\n",
  "99999999999999999999",
  "-0",
  "#",
  " ".repeat(130),
];

function mutate(text: string, prng: Prng): string {
  let result = text;
  for (let count = 1 + prng.below(3); count > 0; count -= 1) {
    const at = prng.below(result.length + 1);
    const gone = prng.chance(0.6) ? prng.below(4) : 0;
    result =
      result.slice(0, at) + (prng.chance(0.7) ? prng.pick(ALPHABET) : "") + result.slice(at + gone);
  }
  return result;
}

describe.skipIf(version === undefined)(`parseMapfile() beside ddrescuelog ${reason}`, () => {
  test("S74: gives the table's verdicts", () => {
    const status = "0x0 ? 1\n";
    const table: [string, boolean][] = [
      ["", true],
      [status, true],
      ["0 +\n", true],
      [`${status}512 512 +\n`, true],
      [`${status}0 512 +\n1024 512 +\n`, false],
      [`${status}0 512 +\n256 512 +\n`, false],
      [`${status}512 512 +\n0 512 +\n`, false],
      [`${status}0 0 +\n0 512 -\n`, true],
      [`${status}0 512 +\n512 0 -\n`, false],
      [`${status}0 512 x\n`, false],
      [`${status}junk\n`, false],
      [`${status}0 01000 + # octal\n`, true],
      ["0x0 ? 1\r\n0 512 +\r\n", true],
      [`${status}0 512 + junk\n`, true],
      [`${status}0 -512 +\n`, false],
      ["0 ? 0\n", false],
      ["0 x 1\n", false],
      ["-1 ? 1\n", false],
      [`${status}${" ".repeat(127)}0 512 +\n`, true],
      [`${status}0 ${" ".repeat(127)}512 +\n`, false],
      [`${status}0x7FFFFFFFFFFFFFF0 0x7FFFFFFFFFFFFFFF +\n`, true],
    ];
    const verdicts = table.map(([text]) => [text, weAccept(text), peerAccepts(text)]);
    expect(verdicts.map(([text, ours]) => [text, ours])).toEqual(
      verdicts.map(([text, , theirs]) => [text, theirs]),
    );
    expect(verdicts.map(([, , theirs]) => theirs)).toEqual(table.map(([, expected]) => expected));
  });

  test(`gives ddrescuelog's verdict on random and mutated maps (SEED=${seed})`, () => {
    const prng = createPrng(seed);
    const differing: string[] = [];
    let accepted = 0;
    const runs = Number(process.env["RUNS"] ?? 1500);
    for (let run = 0; run < runs; run += 1) {
      const whole = randomMap(prng);
      const text = prng.chance(0.1) ? whole : mutate(whole, prng);
      const theirs = peerAccepts(text);
      accepted += Number(theirs);
      if (weAccept(text) !== theirs)
        differing.push(`${theirs ? "accepted" : "refused"} by the peer: ${JSON.stringify(text)}`);
    }
    expect(differing).toEqual([]);
    expect(accepted).toBeGreaterThan(runs / 10);
    expect(accepted).toBeLessThan((runs * 9) / 10);
  });
});

describe.skipIf(version === undefined)(`formatMapfile() beside ddrescuelog ${reason}`, () => {
  test(`S75: is accepted, and its blocks come back the same (SEED=${seed})`, () => {
    const prng = createPrng(seed);
    for (let run = 0; run < 100; run += 1) {
      const sectors = 1 + prng.below(2000);
      const list = new PoisonList(sectors * 512);
      for (let count = prng.below(20); count > 0; count -= 1) {
        const offset = prng.below(sectors) * 512;
        const length = Math.min(list.size - offset, 512 * (1 + prng.below(64)));
        list.mark(
          { offset, length },
          prng.pick<PoisonState>(["clean", "unread", "poisoned", "lost"]),
        );
      }
      writeFileSync(path, [...formatMapfile(list)].join(""));
      const listed = (kind: string): string => {
        const result = spawnSync("ddrescuelog", ["-b512", `-l${kind}`, path], { encoding: "utf8" });
        expect(result).toMatchObject({ status: 0, stderr: "" });
        return result.stdout;
      };
      const ours = (...states: PoisonState[]): string => {
        const blocks: number[] = [];
        for (const part of list.states({ offset: 0, length: list.size })) {
          if (!states.includes(part.state)) continue;
          for (let at = part.offset; at < part.offset + part.length; at += 512)
            blocks.push(at / 512);
        }
        return blocks.map((block) => `${block}\n`).join("");
      };
      expect(listed("-")).toBe(ours("poisoned", "lost"));
      expect(listed("?")).toBe(ours("unread"));
      expect(listed("+")).toBe(ours("clean"));
    }
  });
});

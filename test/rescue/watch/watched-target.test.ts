/** watched-target: devices with several sources, of which one fails, one is cut off, and one is not there. */
import { describe, expect, test } from "vitest";
import type { ByteRange } from "../../../src/base/index.ts";
import type {
  ListedDevice,
  ListSource,
  SourceAnswer,
  TargetStatus,
} from "../../../src/rescue/index.ts";
import { told, watchThrough } from "../support/watching.ts";

function list(source: string, ranges: readonly ByteRange[], incomplete = false): SourceAnswer {
  return { source, ranges, incomplete, notes: [] };
}

const failed = (source: string): SourceAnswer => ({ source, why: "it hung", absent: false });
const A = { offset: 0, length: 512 };
const B = { offset: 4096, length: 512 };
const C = { offset: 8192, length: 512 };
const SIZE = 1024 * 1024;

type Turns = Readonly<Record<string, readonly SourceAnswer[]>>;

/** A device whose sources give their answers in turn, one a look. */
function deviceOf(turns: Turns): () => ListedDevice {
  const looks = new Map<string, number>();
  const sources = Object.entries(turns).map(([name, answers]): ListSource => ({
    name,
    async read() {
      const look = looks.get(name) ?? 0;
      looks.set(name, look + 1);
      return answers[Math.min(look, answers.length - 1)] ?? failed(name);
    },
  }));
  return () => ({ size: SIZE, sources });
}

async function lookAt(
  turns: Turns,
  looks: number,
): Promise<{ readonly told: readonly string[]; readonly status: TargetStatus | undefined }> {
  const steps = Array.from({ length: looks - 1 }, () => () => undefined);
  let status: TargetStatus | undefined;
  const events = await watchThrough(["/dev/x"], steps, {
    device: deviceOf(turns),
    owners: false,
    onRound([one]) {
      status = one;
    },
  });
  return { told: told(events), status };
}

describe("WatchedTarget", () => {
  test("look() joins what several sources name", async () => {
    const result = await lookAt(
      { kernel: [list("kernel", [A]), list("kernel", [])], disk: [list("disk", [A, B])] },
      2,
    );
    expect(result.told).toEqual(["watching 0+512 poisoned 4096+512 poisoned"]);
    expect(result.status?.totals).toEqual({
      total: SIZE,
      clean: 0,
      unread: SIZE - 1024,
      poisoned: 1024,
      lost: 0,
    });
  });

  test("R4: look() keeps what a source named while it fails, and tells its failure once", async () => {
    const disk = [list("disk", [B]), failed("disk"), failed("disk"), list("disk", [])];
    const result = await lookAt({ kernel: [list("kernel", [A])], disk }, 4);
    expect(result.told).toEqual([
      "watching 0+512 poisoned 4096+512 poisoned",
      "failed (disk)",
      "healed 4096+512 poisoned",
      "recovered (disk)",
    ]);
  });

  test("R4: look() heals nothing behind the end of a list that is cut off", async () => {
    const kernel = [list("kernel", [A, B, C]), list("kernel", [B], true), list("kernel", [B])];
    expect((await lookAt({ kernel }, 3)).told).toEqual([
      "watching 0+512 poisoned 4096+512 poisoned 8192+512 poisoned",
      "healed 0+512 poisoned",
      "healed 8192+512 poisoned",
    ]);
  });

  test("look() does not call a device clean that nobody lists", async () => {
    const absent: SourceAnswer = { source: "kernel", why: "it keeps no list", absent: true };
    const result = await lookAt({ kernel: [absent] }, 1);
    expect(result.told).toEqual(["watching"]);
    expect(result.status).toMatchObject({ failing: [], totals: { clean: 0, unread: SIZE } });
  });

  test("status() counts events by what happened", async () => {
    const kernel = [list("kernel", []), list("kernel", [A]), list("kernel", [])];
    expect((await lookAt({ kernel }, 3)).status?.events).toEqual({
      watching: 1,
      appeared: 1,
      healed: 1,
    });
  });
});

/** watch-health: a monitor's lines, and its end. */
import { describe, expect, test } from "vitest";
import { HealthMonitor } from "../../../src/cli/commands/watch-health.ts";

const node = process.execPath;

/** Runs a program as the monitor until it ends. @returns what it gave, and what was warned of */
async function monitored(
  words: readonly [string, ...string[]],
): Promise<{ readonly events: readonly unknown[]; readonly warning: string }> {
  let monitor: HealthMonitor | undefined;
  const warning = await new Promise<string>((resolve) => {
    monitor = new HealthMonitor(resolve, words);
  });
  return { events: monitor?.take() ?? [], warning };
}

describe("HealthMonitor", () => {
  test("take() gives what the monitor printed as JSON, and its end is told with its own words", async () => {
    const line = JSON.stringify({ event: { "dimm-health-state": true }, dimm: { dev: "nmem0" } });
    const script = `console.log(${JSON.stringify(line)}); console.log("text"); console.error("no dimms to monitor, exiting")`;
    const { events, warning } = await monitored([node, "-e", script]);
    expect(events).toEqual([{ event: { "dimm-health-state": true }, dimm: { dev: "nmem0" } }]);
    expect(warning).toContain("gives no events: no dimms to monitor, exiting");
  });

  test("take() keeps the last thousand", async () => {
    const script = 'for (let n = 0; n < 1500; n += 1) console.log(`{"n":${n}}`)';
    const { events } = await monitored([node, "-e", script]);
    expect(events.length).toBe(1000);
    expect(events.at(-1)).toEqual({ n: 1499 });
  });

  test("HealthMonitor tells that the program is not there", async () => {
    const { warning } = await monitored(["theriac-no-such-program", "monitor"]);
    expect(warning).toMatch(/^theriac-no-such-program monitor gives no events: .*ENOENT/);
  });
});

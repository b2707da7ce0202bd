/** What is remembered of exports of foreign servers, and where. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { NBD_EXPORT } from "../../../src/device/index.ts";
import { stateDirectory } from "../../../src/device/nbd/remembered-list.ts";
import { asPoisoned, BAD, disk, Exports, missingOf, SIZE } from "./support/foreign-export.ts";

let exports = new Exports();
beforeEach(() => {
  exports = new Exports();
});
afterEach(() => exports.end());

describe("stateDirectory()", () => {
  test("is where the XDG specification says, and no relative path", () => {
    vi.stubEnv("XDG_STATE_HOME", "/var/state");
    const given = stateDirectory();
    vi.stubEnv("XDG_STATE_HOME", "state");
    vi.stubEnv("HOME", "/home-of");
    const other = stateDirectory();
    vi.unstubAllEnvs();
    expect([given, other]).toEqual([
      "/var/state/theriac",
      join("/home-of", ".local/state/theriac"),
    ]);
  });
});

describe("rememberedList()", () => {
  test("remembers what it found in the state directory, and nothing of it is beside the data", async () => {
    const server = await exports.serve(disk(BAD));
    const first = await exports.open(server);
    await missingOf(first);
    await first.close();
    expect(readdirSync(exports.folder)).toEqual([
      expect.stringMatching(/^nbd-[0-9a-f]{32}\.theriac$/),
    ]);
    const again = await exports.open(server, { access: "read" });
    expect([...again.poison.bad({ offset: 0, length: SIZE })]).toEqual(asPoisoned(BAD));
    const asked = server.seen.length;
    expect(await missingOf(again)).toEqual(asPoisoned(BAD));
    expect(server.seen.length).toBe(asked + 2);
  });

  test("remembers nothing of a session that reads, or that found nothing", async () => {
    const server = await exports.serve(disk(BAD));
    const reading = await exports.open(server, { access: "read" });
    await missingOf(reading);
    await reading.close();
    const writing = await exports.open(server);
    await writing.read(new Uint8Array(512), 1024);
    await writing.close();
    expect(readdirSync(exports.folder)).toEqual([]);
  });

  test("remembers of an export that takes no writes, and writes nothing to it", async () => {
    const flags = NBD_EXPORT.HAS_FLAGS | NBD_EXPORT.READ_ONLY;
    const server = await exports.serve(disk(BAD), { flags });
    const device = await exports.open(server);
    expect(device.capabilities.readOnly).toBe(true);
    await missingOf(device);
    await expect(device.write(new Uint8Array(512), 0)).rejects.toThrow(
      /^EACCES: .*the server exports it for reading only$/,
    );
    await device.close();
    expect(readdirSync(exports.folder)).toHaveLength(1);
  });
});

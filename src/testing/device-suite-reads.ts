/** device-suite-reads: what a device promises of reads, and of its list. */
import { strict as assert } from "node:assert";
import { endOf } from "../base/index.ts";
import type { AccessMode } from "../device/index.ts";
import type { Check } from "./device-suite-context.ts";

const MODES: readonly AccessMode[] = ["access", "recovery", "failFast"];

/** Reads. */
export const READS: readonly Check[] = [
  [
    "read() gives what was written",
    async (it) => {
      await it.fill();
      await it.expect([]);
      const into = new Uint8Array(100);
      await it.device.read(into, 33);
      assert.deepEqual(into, it.content.subarray(33, 133));
    },
  ],
  [
    "read() refuses ranges that are no ranges",
    async (it) => {
      await it.rejects(() => it.device.read(new Uint8Array(2), it.device.size - 1), RangeError);
      await it.rejects(() => it.device.read(new Uint8Array(2), -1), TypeError);
      await it.rejects(() => it.device.read(new Uint8Array(2), 0.5), TypeError);
      await it.rejects(() => it.device.write(new Uint8Array(2), it.device.size - 1), RangeError);
      assert.deepEqual((await it.device.read(new Uint8Array(0), it.device.size)).missing, []);
    },
  ],
  [
    "R1: read() returns no known bad byte in any mode, and leaves its place as it was",
    async (it) => {
      await it.fill();
      const bad = it.poison();
      for (const mode of MODES) {
        const { bytes, missing } = await it.all(mode);
        assert.ok(missing.subarray(bad.offset, endOf(bad)).every((flag) => flag === 1));
        assert.ok(bytes.subarray(bad.offset, endOf(bad)).every((byte) => byte === 0xa5));
      }
      await it.expect([bad]);
    },
  ],
  [
    "R1: read() makes latent poison known, whole units of it, and only when it is touched",
    async (it) => {
      await it.fill();
      const bad = it.poison({ latent: true });
      assert.equal(it.device.poison.totals().poisoned, 0);
      await it.device.read(new Uint8Array(bad.offset), 0);
      assert.equal(it.device.poison.empty, true);
      const { missing } = await it.device.read(new Uint8Array(1), bad.offset);
      assert.deepEqual(missing, [{ offset: bad.offset, length: 1, state: "poisoned" }]);
      assert.equal(it.device.poison.totals().poisoned, bad.length);
      await it.expect([bad]);
    },
  ],
  [
    "read() tells the state of what is missing",
    async (it) => {
      await it.fill();
      const bad = it.poison();
      it.device.recordBad({ offset: 0, length: it.unit }, "lost");
      const { missing } = await it.device.read(new Uint8Array(endOf(bad)), 0);
      assert.deepEqual(missing, [
        { offset: 0, length: it.unit, state: "lost" },
        { ...bad, state: "poisoned" },
      ]);
    },
  ],
  [
    "read() in failFast stops at the first bad byte; the rest is unread",
    async (it) => {
      await it.fill();
      for (const latent of [true, false]) {
        const bad = it.poison({ latent, offset: it.unit * 2 });
        const { bytes, missing } = await it.all("failFast");
        assert.ok(missing.subarray(0, bad.offset).every((flag) => flag === 0));
        assert.ok(missing.subarray(bad.offset).every((flag) => flag === 1));
        assert.deepEqual(bytes.subarray(0, bad.offset), it.content.subarray(0, bad.offset));
      }
    },
  ],
  [
    "read() of a transient error: recovery delivers, access fails once, the list stays empty",
    async (it) => {
      await it.fill();
      const zone = { offset: it.unit, length: it.device.capabilities.poisonUnit };
      it.subject.fault(zone, "transient");
      const plain = await it.device.read(new Uint8Array(it.device.size), 0, "access");
      assert.deepEqual(plain.missing, [{ ...zone, state: "unread" }]);
      assert.deepEqual(
        (await it.device.read(new Uint8Array(it.device.size), 0, "access")).missing,
        [],
      );
      it.subject.fault(zone, "transient");
      await it.expect([]);
      assert.equal(it.device.poison.empty, true);
    },
  ],
];

/** The list, the direct face, the end. */
export const LISTS: readonly Check[] = [
  [
    "R7: every byte is in exactly one state",
    async (it) => {
      await it.fill();
      it.poison();
      it.device.recordRead({ offset: 0, length: it.unit * 4 });
      it.device.recordBad({ offset: it.unit * 5, length: it.unit }, "lost");
      const { total, clean, unread, poisoned, lost } = it.device.poison.totals();
      assert.equal(clean + unread + poisoned + lost, total);
      const sums = { clean: 0, unread: 0, poisoned: 0, lost: 0 };
      let at = 0;
      for (const part of it.device.poison.states({ offset: 0, length: it.device.size })) {
        assert.equal(part.offset, at);
        sums[part.state] += part.length;
        at = endOf(part);
      }
      assert.deepEqual(sums, { clean, unread, poisoned, lost });
    },
  ],
  [
    "R4: recordRead() takes nothing off the list",
    async (it) => {
      await it.fill();
      const bad = it.poison();
      it.device.recordRead({ offset: 0, length: it.device.size });
      await it.expect([bad]);
    },
  ],
  [
    "the list and its marks last until the device is opened again",
    async (it) => {
      await it.fill();
      const bad = it.poison({ latent: true });
      it.device.recordBad({ offset: it.unit * 5, length: it.unit }, "lost");
      await it.all();
      const device = (await it.subject.reopen?.()) ?? it.device;
      assert.deepEqual(
        [...device.poison.bad({ offset: 0, length: device.size })],
        [
          { ...bad, state: "poisoned" },
          { offset: it.unit * 5, length: it.unit, state: "lost" },
        ],
      );
    },
  ],
  [
    "direct face: views are the bytes, probes refuse known poison",
    async (it) => {
      const { direct } = it.device;
      const { pageSize } = it.device.capabilities;
      if (direct === undefined || it.device.size < pageSize * 3) return;
      await it.fill();
      assert.deepEqual(direct.view({ offset: 10, length: 50 }).slice(), it.content.slice(10, 60));
      const pages = Math.floor(it.device.size / pageSize);
      assert.equal(direct.probe(0, pages, "access"), it.window(0, pages));
      it.poison({ offset: pageSize });
      assert.equal(direct.probe(0, pages, "access"), it.window(0, pages) > 1 ? 0 : 1);
      assert.equal(direct.probe(0, 1, "access"), 1);
      assert.equal(direct.probe(0, pages, "recovery"), 1);
      assert.equal(direct.probe(1, pages - 1, "recovery"), 1);
      const data = it.prng.bytes(pageSize);
      assert.equal(direct.recoveryWrite(data.subarray(1), pageSize), 0);
      assert.equal(direct.recoveryWrite(data, pageSize), it.heals ? pageSize : 0);
      if (it.heals) it.content.set(data, pageSize);
      if (it.heals) await it.expect([]);
      if (it.heals) direct.zeroPages(2, 1);
      it.content.fill(0, pageSize * 2, pageSize * 3);
      if (it.heals) await it.expect([]);
    },
  ],
  [
    "close() twice is allowed, and ends all use",
    async (it) => {
      await it.device.close();
      await it.device.close();
    },
  ],
];

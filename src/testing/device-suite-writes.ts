/** device-suite-writes: what a device promises of writes, heals and clears. */
import { strict as assert } from "node:assert";
import { endOf, MediaError, type ByteRange } from "../base/index.ts";
import type { HealWrite } from "../device/index.ts";
import type { Check } from "./device-suite-context.ts";

/** Writes. */
export const WRITES: readonly Check[] = [
  [
    "write() touches nothing beside its range",
    async (it) => {
      await it.fill();
      await it.write({ offset: 5, length: 77 });
      await it.write({ offset: it.device.size - 3, length: 3 });
      await it.expect([]);
    },
  ],
  [
    "R4: write() over whole clear units heals them, durably",
    async (it) => {
      if (!it.heals) return;
      await it.fill();
      it.poison();
      await it.write({ offset: it.unit, length: it.unit });
      assert.equal(it.device.poison.empty, true);
      await it.expect([]);
      await it.expect([], (await it.subject.reopen?.()) ?? it.device);
    },
  ],
  [
    "write() over a part of a bad clear unit fails and changes nothing",
    async (it) => {
      if (it.unit === 1) return;
      await it.fill();
      const bad = it.poison();
      await it.rejects(() => it.device.write(it.prng.bytes(it.unit), bad.offset - 1));
      await it.expect([bad]);
    },
  ],
  [
    "R2: write() in recovery keeps the clean neighbours of a bad unit",
    async (it) => {
      if (!it.heals) return;
      await it.fill();
      const bad = it.poison();
      await it.write({ offset: bad.offset, length: bad.length }, "recovery");
      await it.expect([]);
      await it.expect([], (await it.subject.reopen?.()) ?? it.device);
    },
  ],
  [
    "R2: write() in recovery over a part of the bad bytes: the others become lost, or it fails",
    async (it) => {
      const { poisonUnit, mediated } = it.device.capabilities;
      if (!it.heals || it.unit < 2) return;
      await it.fill();
      const bad = it.poison({ length: Math.min(poisonUnit * 2, it.unit) });
      const half = { offset: bad.offset, length: bad.length / 2 };
      const rest = { offset: endOf(half), length: bad.length / 2 };
      if (mediated) {
        await it.write(half, "recovery");
        assert.deepEqual(it.statesOf(rest), ["lost"]);
        await it.expect([rest]);
      } else {
        await it.rejects(() =>
          it.device.write(new Uint8Array(half.length), half.offset, "recovery"),
        );
        await it.expect([bad]);
      }
    },
  ],
  [
    "R2: write() in recovery beside bad bytes of its clear unit keeps every clean byte",
    async (it) => {
      const { poisonUnit } = it.device.capabilities;
      if (!it.heals || it.unit < poisonUnit * 4) return;
      for (const latent of [true, false]) {
        await it.fill();
        const bad = it.poison({ latent, offset: it.unit + poisonUnit });
        await it.write({ offset: it.unit + poisonUnit * 2 + 1, length: poisonUnit }, "recovery");
        await it.expect([bad]);
        await it.write({ offset: it.unit, length: it.unit });
      }
    },
  ],
  [
    "write() in failFast heals nothing",
    async (it) => {
      await it.fill();
      const bad = it.poison();
      await it.rejects(() => it.device.write(new Uint8Array(it.unit), it.unit, "failFast"));
      await it.expect([bad]);
    },
  ],
  [
    "R5: write() fails where the device cannot clear, and the list stays",
    async (it) => {
      if (it.heals) return;
      await it.fill();
      const bad = it.poison();
      for (const mode of ["access", "recovery"] as const) {
        await it.rejects(() => it.device.write(new Uint8Array(it.unit * 3), 0, mode));
        await it.expect([bad]);
      }
    },
  ],
  [
    "R5: write() fails where a clear is refused, and names what is bad",
    async (it) => {
      await it.fill();
      const bad = it.poison();
      it.subject.fault(bad, "refuses");
      await assert.rejects(
        async () => await it.device.write(new Uint8Array(it.unit), it.unit),
        (error: unknown) =>
          error instanceof MediaError &&
          error.ranges[0]?.offset === bad.offset &&
          error.ranges[0].state === "poisoned",
      );
      await it.expect([bad]);
    },
  ],
  [
    "R5: write() fails where a clear stops half-way; nothing clean is lost",
    async (it) => {
      await it.fill();
      const bad = it.poison({ length: it.unit * 2 });
      it.subject.fault(bad, "partial");
      await it.rejects(() => it.device.write(new Uint8Array(it.unit * 4), 0));
      await it.expect([bad]);
    },
  ],
];

/** Heals and clears. */
export const HEALS: readonly Check[] = [
  [
    "heal() heals many ranges and answers for each",
    async (it) => {
      if (!it.heals) return;
      await it.fill();
      const { poisonUnit } = it.device.capabilities;
      const spots = [1, 4, 7, 9].map((place) => it.poison({ offset: place * it.unit }));
      const refused = spots[2] as ByteRange;
      it.subject.fault(refused, "refuses");
      const writes: HealWrite[] = spots
        .map(({ offset }) => ({ offset, data: it.prng.bytes(poisonUnit) }))
        .reverse();
      const answers = await it.device.heal(writes);
      for (const [index, error] of answers.entries()) {
        const write = writes[index] as HealWrite;
        assert.equal(error instanceof MediaError, write.offset === refused.offset);
        if (error === undefined) it.content.set(write.data, write.offset);
      }
      await it.expect([refused]);
    },
  ],
  [
    "heal() joins writes that share a clear unit",
    async (it) => {
      if (!it.heals) return;
      await it.fill();
      it.poison({ length: it.unit });
      const data = it.prng.bytes(it.unit);
      const half = Math.floor(it.unit / 2);
      if (half === 0) return;
      const answers = await it.device.heal([
        { offset: it.unit + half, data: data.subarray(half) },
        { offset: it.unit, data: data.subarray(0, half) },
      ]);
      assert.deepEqual(answers, [undefined, undefined]);
      it.content.set(data, it.unit);
      await it.expect([]);
    },
  ],
  [
    "heal() meets latent poison beside what it heals",
    async (it) => {
      if (!it.heals) return;
      await it.fill();
      it.poison();
      it.poison({ latent: true, offset: it.unit * 3 });
      const data = it.prng.bytes(it.unit * 4);
      assert.deepEqual(await it.device.heal([{ offset: it.unit, data }]), [undefined]);
      it.content.set(data, it.unit);
      await it.expect([]);
    },
  ],
  [
    "heal() refuses overlapping writes before it changes anything",
    async (it) => {
      await it.fill();
      const bad = it.poison();
      const data = new Uint8Array(it.unit);
      await it.rejects(
        () =>
          it.device.heal([
            { offset: it.unit, data },
            { offset: it.unit * 2 - 1, data },
          ]),
        RangeError,
      );
      await it.expect([bad]);
    },
  ],
  [
    "clear() ends poison without data: lost, and unreadable until healed",
    async (it) => {
      if (!it.heals) return;
      await it.fill();
      it.poison();
      const range = { offset: it.unit, length: it.unit };
      await it.device.clear(range);
      assert.deepEqual(it.statesOf(range), ["lost"]);
      await it.expect([range]);
      await it.write(range);
      await it.expect([]);
    },
  ],
  [
    "R5: clear() fails where the device cannot, and the list stays",
    async (it) => {
      if (it.heals) return;
      await it.fill();
      const bad = it.poison();
      await it.rejects(() => it.device.clear({ offset: it.unit, length: it.unit }));
      await it.expect([bad]);
    },
  ],
  [
    "reads see a range before a change or after it, never between",
    async (it) => {
      if (!it.heals) return;
      await it.fill();
      const before = it.content.slice();
      const into = Array.from({ length: 8 }, () => new Uint8Array(it.device.size));
      const reads = into.map(async (bytes) => await it.device.read(bytes, 0));
      await it.write({ offset: 0, length: it.device.size });
      await Promise.all(reads);
      for (const bytes of into) {
        assert.ok(
          Buffer.compare(bytes, before) === 0 || Buffer.compare(bytes, it.content) === 0,
          "a read is torn",
        );
      }
    },
  ],
];

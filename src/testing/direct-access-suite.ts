/**
 * direct-access-suite: the contract of a device's synchronous face as tests: probes that stride as Linux does, views that are the bytes,
 * zeroing and recovery writes that clear. Runs where the device has that face, and fails where it should have one and has none.
 *
 *     directAccessSuite({ describe, test }, "memory", { make: () => subjectOf(createMemoryDevice({ size: 65_536 })) });
 */
import { strict as assert } from "node:assert";
import { createPrng, MediaError, type MaybePromise } from "../base/index.ts";
import type { DirectAccess } from "../device/index.ts";
import { Context, type Check, type DeviceSubject } from "./device-suite-context.ts";
import type { SuiteApi } from "./device-suite.ts";

/** The face, and what it counts in. */
interface Face {
  readonly direct: DirectAccess;
  readonly page: number;
  /** Pages of the device, at least 8; the last may be a part. */
  readonly pages: number;
}

function faceOf(it: Context): Face {
  const { direct, capabilities, size } = it.device;
  assert.ok(direct !== undefined, "the device has direct access");
  const page = capabilities.pageSize;
  assert.ok(size >= page * 8, "the device has eight pages");
  return { direct, page, pages: Math.ceil(size / page) };
}

/** The content as views show it, joined: a view may end with its window. */
function viewed(it: Context, { direct }: Face): Uint8Array {
  const bytes = new Uint8Array(it.device.size);
  for (let at = 0; at < bytes.length;) {
    const view = direct.view({ offset: at, length: bytes.length - at });
    assert.ok(view.length > 0, "a view holds at least one byte");
    bytes.set(view, at);
    at += view.length;
  }
  return bytes;
}

const CHECKS: readonly Check[] = [
  [
    "probe() gives all pages that there are where nothing is known bad, up to the kernel's window: our own show as nothing",
    async (it) => {
      const { direct, pages } = faceOf(it);
      await it.fill();
      for (const mode of ["access", "recovery"] as const) {
        assert.equal(direct.probe(0, pages, mode), it.window(0, pages));
        assert.equal(direct.probe(0, pages + 100, mode), it.window(0, pages));
        assert.equal(direct.probe(pages - 1, 5, mode), 1);
        assert.equal(direct.probe(3, 2, mode), it.window(3, 2));
      }
      assert.throws(() => direct.probe(pages + 1, 1, "access"), RangeError);
    },
  ],
  [
    "probe() in access refuses a range that holds known poison, and no other",
    async (it) => {
      const { direct, page, pages } = faceOf(it);
      await it.fill();
      it.poison({ offset: page * 3 });
      const window = it.window(0, pages);
      assert.equal(direct.probe(0, pages, "access"), window > 3 ? 0 : window);
      assert.equal(direct.probe(3, 1, "access"), 0);
      assert.equal(direct.probe(0, 3, "access"), it.window(0, 3));
      assert.equal(direct.probe(4, pages - 4, "access"), it.window(4, pages - 4));
    },
  ],
  [
    "probe() in recovery strides up to the page before the first bad one, then one page, then over what went on bad",
    async (it) => {
      const { direct, page, pages } = faceOf(it);
      await it.fill();
      it.poison({ offset: page * 3, length: page * 2 });
      assert.equal(direct.probe(0, pages, "recovery"), it.window(0, 3));
      assert.equal(direct.probe(3, pages - 3, "recovery"), 1);
      // The record begins before this page, and Linux' unsigned difference is huge: no stride is cut.
      if (it.window(3, 2) === 2)
        assert.equal(direct.probe(4, pages - 4, "recovery"), it.window(4, pages - 4));
      assert.equal(direct.probe(5, pages - 5, "recovery"), it.window(5, pages - 5));
    },
  ],
  [
    "probe() tells nothing of latent poison",
    async (it) => {
      const { direct, page, pages } = faceOf(it);
      await it.fill();
      it.poison({ offset: page * 3, latent: true });
      assert.equal(direct.probe(0, pages, "access"), it.window(0, pages));
    },
  ],
  [
    "view() is the bytes: writes show in it, and stores through it are read",
    async (it) => {
      const face = faceOf(it);
      await it.fill();
      assert.equal(Buffer.compare(viewed(it, face), it.content), 0);
      await it.write({ offset: face.page + 5, length: 300 });
      assert.equal(Buffer.compare(viewed(it, face), it.content), 0);
      const view = face.direct.view({ offset: 77, length: 1 });
      view[0] = (view[0] ?? 0) ^ 0xff;
      it.content[77] = view[0] ?? 0;
      await it.expect([]);
      assert.equal(face.direct.view({ offset: 0, length: 0 }).length, 0);
      const past = { offset: it.device.size - 1, length: 2 };
      assert.throws(() => face.direct.view(past), RangeError);
    },
  ],
  [
    "load() copies, and stops at the first latent byte, which is known from then on",
    async (it) => {
      const { direct, page } = faceOf(it);
      await it.fill();
      const into = new Uint8Array(page * 2);
      assert.equal(direct.load(into, page - 7), into.length);
      assert.equal(Buffer.compare(into, it.content.subarray(page - 7, page * 3 - 7)), 0);
      const bad = it.poison({ offset: page * 4, latent: true });
      assert.equal(direct.load(into, page * 3), bad.offset - page * 3);
      assert.equal(direct.probe(4, 1, "access"), 0);
      await it.expect([bad]);
    },
  ],
  [
    "load() and loadUpTo() touch nothing behind what they count, and load() knows of the first bad range alone",
    async (it) => {
      const { direct, page } = faceOf(it);
      await it.fill();
      const bad = it.poison({ offset: page * 2, latent: true });
      const other = it.poison({ offset: page * 3, latent: true });
      const loads = [
        (into: Uint8Array) => direct.load(into, page),
        (into: Uint8Array) => direct.loadUpTo(into, page, "recovery"),
        (into: Uint8Array) => direct.loadUpTo(into, page, "failFast"),
      ];
      for (const load of loads) {
        const into = new Uint8Array(page * 4).fill(0xee);
        const count = load(into);
        assert.equal(count, bad.offset - page);
        assert.equal(
          Buffer.compare(into.subarray(0, count), it.content.subarray(page, bad.offset)),
          0,
        );
        assert.ok(into.subarray(count).every((byte) => byte === 0xee));
        if (load === loads[0]) assert.deepEqual(it.statesOf(other), ["unread"]);
      }
      await it.expect([bad, other]);
    },
  ],
  [
    "R1: load() is told what an open intent keeps, and of the list's bytes nothing",
    async (it) => {
      const { direct, page } = faceOf(it);
      await it.fill();
      const bad = it.poison({ offset: page * 2 });
      for (const mode of ["recovery", "failFast"] as const) {
        const into = new Uint8Array(page * 3);
        assert.equal(direct.loadUpTo(into, page, mode), bad.offset - page);
        const start = bad.offset - page;
        assert.equal(
          Buffer.compare(into.subarray(0, start), it.content.subarray(page, bad.offset)),
          0,
        );
        assert.equal(
          into.subarray(start, start + bad.length).every((byte) => byte === 0),
          true,
        );
        assert.equal(direct.loadUpTo(into, bad.offset, mode), 0);
      }
    },
  ],
  [
    "store() is read back, and durable after a flush",
    async (it) => {
      const { direct, page } = faceOf(it);
      await it.fill();
      const data = it.prng.bytes(page + 100);
      direct.store(data, page - 50);
      it.content.set(data, page - 50);
      await it.expect([]);
      await it.device.flush();
      assert.throws(() => direct.store(data, it.device.size - 1), RangeError);
    },
  ],
  [
    "R5: stands() tells a store from one that lies on latent poison, which is known from then on",
    async (it) => {
      const { direct, page } = faceOf(it);
      await it.fill();
      const data = it.prng.bytes(page * 2);
      direct.store(data, page);
      assert.equal(direct.stands(data, page), true);
      it.content.set(data, page);
      if (!it.heals) return;
      const bad = it.poison({ offset: page * 2, latent: true });
      direct.store(data, page);
      const isHealed = it.device.capabilities.clear === "overwrite";
      assert.equal(direct.stands(data, page), isHealed);
      if (isHealed) it.content.set(data, page);
      else assert.deepEqual(it.statesOf(bad), ["poisoned"]);
      await it.expect(isHealed ? [] : [bad]);
    },
  ],
  [
    "R2, R4: heal() writes over a part of a bad unit and keeps its clean neighbours",
    async (it) => {
      const { direct, page } = faceOf(it);
      await it.fill();
      const bad = it.poison({ offset: page * 2 });
      const data = it.prng.bytes(bad.length + 20);
      if (!it.heals) {
        assert.throws(() => direct.heal(data, bad.offset - 10), MediaError);
        return;
      }
      direct.heal(data, bad.offset - 10);
      it.content.set(data, bad.offset - 10);
      await it.expect([]);
    },
  ],
  [
    "R1: view() of poison shows nothing of what was there, and read() does not believe it",
    async (it) => {
      const { direct, page } = faceOf(it);
      await it.fill();
      const bad = it.poison({ offset: page });
      const view = direct.view(bad);
      const old = it.content.subarray(bad.offset, bad.offset + view.length);
      assert.notEqual(Buffer.compare(view, old), 0);
      await it.expect([bad]);
    },
  ],
  [
    "R4: zeroPages() zeroes whole pages and ends poison in them, and touches nothing beside them",
    async (it) => {
      const { direct, page } = faceOf(it);
      await it.fill();
      const bad = it.poison({ offset: page * 2 });
      // where a window ends between them the second page is written alone, and what is latent is not known there
      if (it.window(2, 2) === 2) it.poison({ offset: page * 3, latent: true });
      if (!it.heals) {
        assert.throws(() => direct.zeroPages(2, 1), MediaError);
        assert.deepEqual(it.statesOf(bad), ["poisoned"]);
        return;
      }
      direct.zeroPages(2, 2);
      it.content.fill(0, page * 2, page * 4);
      await it.expect([]);
      assert.equal(it.device.poison.empty, true);
    },
  ],
  [
    "recoveryWrite() heals whole pages, writes parts of good ones, and takes no part of a bad one",
    async (it) => {
      const { direct, page } = faceOf(it);
      await it.fill();
      const bad = it.poison({ offset: page * 2 });
      const data = it.prng.bytes(page * 3);
      assert.equal(direct.recoveryWrite(data.subarray(0, page - 1), page * 2), 0);
      const before = it.window(1, 2) === 2 ? 0 : 1;
      assert.equal(direct.recoveryWrite(data.subarray(0, page), page * 2 - 1), before);
      it.content.set(data.subarray(0, before), page * 2 - 1);
      assert.equal(direct.recoveryWrite(data.subarray(0, 100), page * 5 + 3), 100);
      it.content.set(data.subarray(0, 100), page * 5 + 3);
      await it.expect([bad]);
      const done = direct.recoveryWrite(data, page);
      const refused = it.window(1, 2) === 2 ? 0 : page;
      assert.equal(done, it.heals ? data.length : refused);
      if (!it.heals) return;
      it.content.set(data, page);
      await it.expect([]);
    },
  ],
  [
    "R5: recoveryWrite() where a clear is refused writes nothing, and the list stays",
    async (it) => {
      const { direct, page } = faceOf(it);
      await it.fill();
      const bad = it.poison({ offset: page * 2 });
      it.subject.fault(bad, "refuses");
      assert.equal(direct.recoveryWrite(new Uint8Array(page), page * 2), 0);
      assert.equal(direct.probe(2, 1, "access"), 0);
      await it.expect([bad]);
    },
  ],
];

/** Registers the suite. `make` gives a fresh device for every test: eight pages or more, with a direct face. */
export function directAccessSuite(
  api: SuiteApi,
  name: string,
  options: { readonly make: () => MaybePromise<DeviceSubject>; readonly seed?: number },
): void {
  api.describe(`direct access contract: ${name}`, () => {
    for (const [title, body] of CHECKS) {
      api.test(title, async () => {
        const subject = await options.make();
        try {
          await body(new Context(subject, createPrng(options.seed ?? 1)));
        } finally {
          await subject.dispose?.();
        }
      });
    }
  });
}

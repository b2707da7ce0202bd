/** file-suite-recovery: what a file promises where its media is bad. */
import { strict as assert } from "node:assert";
import { MediaError } from "../base/index.ts";
import { failFastHandle, recoveryHandle, RWF_DSYNC, RWF_RECOVERY_DATA } from "../file/index.ts";
import { FILLER, PAGE, SECTOR, type FileCheck, type FileContext } from "./file-suite-context.ts";

/** One bad sector, in the middle of a page. */
const BAD = { offset: 2 * PAGE + 3 * SECTOR, length: SECTOR };

/** Behind the count: as it was where memory is copied; on a block face clean bytes too, and of the bad ones nothing. */
function expectBehind({ file, content }: FileContext, into: Uint8Array, offset: number): void {
  for (const [index, byte] of into.entries()) {
    const isBad = index < BAD.length;
    const mayStand = file.face !== "dax" && !isBad && byte === content[offset + index];
    assert.ok(byte === FILLER || mayStand, `byte ${offset + index} behind the count`);
  }
}

/** Reads over bad media. */
export const BAD_READS: readonly FileCheck[] = [
  [
    "R1: with the flag preadv2() gives every byte up to the first bad one, and EIO only there",
    async (it) => {
      for (const latent of [false, true]) {
        await it.fill();
        it.subject.inject(BAD, { latent });
        const into = new Uint8Array(4 * PAGE).fill(FILLER);
        assert.equal(await it.file.preadv2(into, PAGE, RWF_RECOVERY_DATA), BAD.offset - PAGE);
        it.expectBytes(into, PAGE, BAD.offset - PAGE);
        expectBehind(it, into.subarray(BAD.offset - PAGE), BAD.offset);
        const sector = into.subarray(0, SECTOR);
        await it.rejects(() => it.file.preadv2(sector, BAD.offset, RWF_RECOVERY_DATA), "EIO");
        assert.equal(await it.file.preadv2(sector, BAD.offset + SECTOR, RWF_RECOVERY_DATA), SECTOR);
        it.expectBytes(sector, BAD.offset + SECTOR, SECTOR);
        if (it.subject.heals) await it.write(BAD, RWF_RECOVERY_DATA);
        else return;
      }
    },
  ],
  [
    "R1: without the flag preadv2() gives no byte of what is bad, and no more than with it",
    async (it) => {
      for (const latent of [true, false]) {
        await it.fill();
        it.subject.inject(BAD, { latent });
        const into = new Uint8Array(4 * PAGE).fill(FILLER);
        const count = await it.file.preadv2(into, PAGE).catch((error: unknown) => {
          assert.ok(error instanceof MediaError);
          return 0;
        });
        assert.ok(count <= BAD.offset - PAGE, `count ${count}`);
        it.expectBytes(into, PAGE, count);
        assert.equal(await it.file.preadv2(into.subarray(0, PAGE), PAGE), PAGE);
        if (it.subject.heals) await it.write(BAD, RWF_RECOVERY_DATA);
        else return;
      }
    },
  ],
  [
    "R1: readRecover() gives every clean piece, and names the holes",
    async (it) => {
      await it.fill();
      const bad = [BAD, { offset: 5 * PAGE, length: 2 * SECTOR }];
      it.subject.inject(bad[0] as typeof BAD, { latent: true });
      it.subject.inject(bad[1] as typeof BAD, { latent: false });
      await it.expectAll(bad);
      const into = new Uint8Array(PAGE);
      const { holes } = await it.file.readRecover(into, 2 * PAGE);
      assert.deepEqual(holes, [{ ...BAD, state: "poisoned" }]);
    },
  ],
  [
    "recoveryHandle() carries the flag on every call",
    async (it) => {
      await it.fill();
      it.subject.inject(BAD, { latent: false });
      const handle = recoveryHandle(it.file);
      const into = new Uint8Array(4 * PAGE);
      assert.equal(await handle.preadv2(into, PAGE), BAD.offset - PAGE);
      if (!it.subject.heals) return;
      assert.equal(
        await handle.pwritev2(it.content.slice(BAD.offset, BAD.offset + SECTOR), BAD.offset),
        SECTOR,
      );
      await it.expectAll([]);
    },
  ],
  [
    "failFastHandle() stops at the first bad byte, heals nothing, and refuses the flag",
    async (it) => {
      await it.fill();
      it.subject.inject(BAD, { latent: false });
      const handle = failFastHandle(it.file);
      const into = new Uint8Array(4 * PAGE);
      assert.equal(await handle.preadv2(into, PAGE), BAD.offset - PAGE);
      it.expectBytes(into, PAGE, BAD.offset - PAGE);
      await it.rejects(() => handle.pwritev2(new Uint8Array(SECTOR), BAD.offset), "EIO");
      await it.rejects(() => handle.preadv2(into, 0, RWF_RECOVERY_DATA), "EINVAL");
      await it.rejects(() => handle.pwritev2(into, 0, RWF_RECOVERY_DATA), "EINVAL");
      await it.expectAll([BAD]);
    },
  ],
];

/** Writes over bad media. */
export const BAD_WRITES: readonly FileCheck[] = [
  [
    "R2, R4: with the flag pwritev2() heals the bad sector alone, known or latent, and keeps its neighbours",
    async (it) => {
      if (!it.subject.heals) return;
      for (const latent of [false, true]) {
        await it.fill();
        it.subject.inject(BAD, { latent });
        assert.equal(await it.write(BAD, RWF_RECOVERY_DATA), SECTOR);
        await it.expectAll([]);
      }
    },
  ],
  [
    "R2, R4: with the flag pwritev2() writes over good and bad, from anywhere to anywhere",
    async (it) => {
      if (!it.subject.heals) return;
      const { unit } = it.subject;
      await it.fill();
      const bad = [BAD, { offset: 4 * PAGE, length: PAGE }, { offset: 7 * PAGE, length: SECTOR }];
      for (const range of bad) it.subject.inject(range, { latent: false });
      const offset = PAGE + unit;
      const length = 5 * PAGE + 2 * SECTOR - unit;
      assert.equal(await it.write({ offset, length }, RWF_RECOVERY_DATA | RWF_DSYNC), length);
      await it.expectAll(bad.slice(2));
    },
  ],
  [
    "R4: without the flag pwritev2() of whole pages heals them",
    async (it) => {
      if (!it.subject.heals) return;
      await it.fill();
      it.subject.inject({ offset: 2 * PAGE, length: PAGE }, { latent: false });
      assert.equal(await it.write({ offset: PAGE, length: 4 * PAGE }), 4 * PAGE);
      await it.expectAll([]);
    },
  ],
  [
    "R5: pwritev2() stops before what cannot be healed, then is EIO, and what is bad stays bad",
    async (it) => {
      await it.fill();
      const bad = { offset: 2 * PAGE, length: PAGE };
      it.subject.inject(bad, { latent: false });
      it.subject.refuse(bad);
      assert.equal(await it.write({ offset: PAGE, length: 3 * PAGE }, RWF_RECOVERY_DATA), PAGE);
      for (const flags of [0, RWF_RECOVERY_DATA])
        await it.rejects(() => it.file.pwritev2(new Uint8Array(PAGE), 2 * PAGE, flags), "EIO");
      await it.expectAll([bad]);
    },
  ],
];

/** file-suite-calls: what a file promises of places, buffers and flags. */
import { strict as assert } from "node:assert";
import { StorageError } from "../base/index.ts";
import { BUFFERS_MAX, formatFlags, RWF_NOAPPEND, RWF_RECOVERY_DATA } from "../file/index.ts";
import { PAGE, SECTOR, type FileCheck, type FileContext } from "./file-suite-context.ts";

/** Flags that Linux knows today, and ours. */
const KNOWN_FLAGS = 0x1ff | RWF_RECOVERY_DATA;

async function flagAnswer(it: FileContext, op: "read" | "write", flag: number): Promise<string> {
  const page = it.content.slice(0, PAGE);
  try {
    if (op === "read") await it.file.preadv2(page, 0, flag);
    else await it.file.pwritev2(page, 0, flag);
    return "honoured";
  } catch (error) {
    if (error instanceof StorageError) return error.code;
    throw error;
  }
}

/** Places, buffers, flags. */
export const CALLS: readonly FileCheck[] = [
  [
    "preadv2() gives what pwritev2() wrote, in many buffers, empty ones among them",
    async (it) => {
      await it.fill();
      const lengths = [SECTOR, 0, PAGE, 2 * SECTOR, 0, PAGE];
      const data = lengths.map((length) => it.prng.bytes(length));
      const all = Buffer.concat(data);
      assert.equal(await it.file.pwritev2(data, PAGE), all.length);
      it.content.set(all, PAGE);
      const into = [...lengths].reverse().map((length) => new Uint8Array(length));
      assert.equal(await it.file.preadv2(into, PAGE), all.length);
      it.expectBytes(Buffer.concat(into), PAGE, all.length);
      await it.expectAll([]);
    },
  ],
  [
    "preadv2() and pwritev2() take 1,024 buffers, and EINVAL for one more",
    async (it) => {
      await it.fill();
      const parts = Array.from(
        { length: BUFFERS_MAX },
        (_, index) => new Uint8Array(index % 256 === 0 ? SECTOR : 0),
      );
      assert.equal(await it.file.preadv2(parts, 0), 4 * SECTOR);
      it.expectBytes(Buffer.concat(parts), 0, 4 * SECTOR);
      assert.equal(await it.file.pwritev2(parts, 0), 4 * SECTOR);
      parts.push(new Uint8Array(0));
      await it.rejects(() => it.file.preadv2(parts, 0), "EINVAL");
      await it.rejects(() => it.file.pwritev2(parts, 0), "EINVAL");
      await it.expectAll([]);
    },
  ],
  [
    "calls of no bytes are 0, wherever and whatever the flags",
    async (it) => {
      await it.fill();
      it.subject.inject({ offset: 0, length: SECTOR }, { latent: false });
      for (const offset of [0, it.file.size, it.file.size * 2]) {
        for (const flags of [0, RWF_RECOVERY_DATA]) {
          assert.equal(await it.file.preadv2([], offset, flags), 0);
          assert.equal(await it.file.pwritev2(new Uint8Array(0), offset, flags), 0);
        }
      }
      await it.expectAll([{ offset: 0, length: SECTOR }]);
    },
  ],
  [
    "preadv2() is short at the end, and 0 behind it",
    async (it) => {
      await it.fill();
      const into = new Uint8Array(2 * PAGE);
      assert.equal(await it.file.preadv2(into, it.file.size - PAGE), PAGE);
      it.expectBytes(into, it.file.size - PAGE, PAGE);
      for (const offset of [it.file.size, it.file.size + PAGE, 2 ** 50])
        assert.equal(await it.file.preadv2(into, offset), 0);
    },
  ],
  [
    "pwritev2() behind the end writes nothing",
    async (it) => {
      await it.fill();
      const data = new Uint8Array(PAGE);
      for (const flags of [0, RWF_RECOVERY_DATA])
        await it.rejects(() => it.file.pwritev2(data, it.file.size, flags), "ENOSPC", "EOPNOTSUPP");
      await it.expectAll([]);
    },
  ],
  [
    "offset -1 is the position, which only such calls move, by what they counted",
    async (it) => {
      await it.fill();
      const into = new Uint8Array(PAGE);
      it.file.position = PAGE;
      assert.equal(await it.file.preadv2(into, -1), PAGE);
      it.expectBytes(into, PAGE, PAGE);
      assert.equal(await it.file.preadv2(into, 0), PAGE);
      assert.equal(it.file.position, 2 * PAGE);
      assert.equal(await it.file.pwritev2(it.content.slice(2 * PAGE, 3 * PAGE), -1), PAGE);
      assert.equal(it.file.position, 3 * PAGE);
      assert.equal(it.file.handle("recovery").position, 0);
      it.subject.inject({ offset: 4 * PAGE, length: SECTOR }, { latent: false });
      assert.equal(await it.file.preadv2(new Uint8Array(2 * PAGE), -1, RWF_RECOVERY_DATA), PAGE);
      assert.equal(it.file.position, 4 * PAGE);
      await it.rejects(() => it.file.preadv2(into, -1, RWF_RECOVERY_DATA), "EIO");
      assert.equal(it.file.position, 4 * PAGE, "a call that failed moves nothing");
    },
  ],
  [
    "places and buffers that are none are refused",
    async (it) => {
      await it.fill();
      const page = new Uint8Array(PAGE);
      await it.rejects(() => it.file.preadv2(page, -2), "EINVAL");
      await it.rejects(() => it.file.pwritev2(page, -2), "EINVAL");
      for (const offset of [0.5, Number.NaN, 2 ** 53])
        await assert.rejects(async () => await it.file.preadv2(page, offset), TypeError);
      for (const wrong of ["page", [page, "page"], new Float64Array(8), undefined])
        await assert.rejects(async () => await it.file.pwritev2(wrong as never, 0), TypeError);
      await it.expectAll([]);
    },
  ],
  [
    "every flag is honoured or EOPNOTSUPP, and unknown ones are EOPNOTSUPP",
    async (it) => {
      await it.fill();
      for (let bit = 0; bit < 32; bit += 1) {
        const flag = 2 ** bit;
        const isKnown = (flag & KNOWN_FLAGS) !== 0;
        const answers = [await flagAnswer(it, "read", flag), await flagAnswer(it, "write", flag)];
        for (const answer of answers) {
          // RWF_APPEND is honoured, and there is no room.
          const allowed = isKnown ? ["honoured", "EOPNOTSUPP", "ENOSPC"] : ["EOPNOTSUPP"];
          assert.ok(allowed.includes(answer), `${formatFlags(flag)}: ${answer}`);
        }
      }
      assert.equal(await flagAnswer(it, "write", RWF_NOAPPEND), "honoured");
      assert.equal(await flagAnswer(it, "write", RWF_RECOVERY_DATA), "honoured");
      await it.expectAll([]);
    },
  ],
  [
    "the calls of `direct` answer as the others do",
    async (it) => {
      const { direct } = it.file;
      assert.equal(direct !== undefined, it.file.face === "dax");
      if (direct === undefined) return;
      await it.fill();
      it.subject.inject({ offset: 2 * PAGE + SECTOR, length: SECTOR }, { latent: false });
      for (const [offset, flags] of [
        [PAGE, RWF_RECOVERY_DATA],
        [3 * PAGE, 0],
      ] as const) {
        const [one, other] = [new Uint8Array(2 * PAGE), new Uint8Array(2 * PAGE)];
        const count = direct.preadv2(one, offset, flags);
        assert.equal(await it.file.preadv2(other, offset, flags), count);
        assert.equal(Buffer.compare(one, other), 0);
        it.expectBytes(one, offset, count);
      }
      assert.throws(() => direct.preadv2(new Uint8Array(PAGE), 2 * PAGE), { code: "EIO" });
      direct.fsync();
    },
  ],
  [
    "close() twice is allowed, and ends all use",
    async (it) => {
      await it.file.close();
      await it.file.close();
      await it.rejects(() => it.file.preadv2(new Uint8Array(PAGE), 0), "EIO");
      await it.rejects(() => it.file.pwritev2(new Uint8Array(PAGE), 0), "EIO");
      await it.rejects(() => it.file.readRecover(new Uint8Array(PAGE), 0), "EIO");
      await it.rejects(() => it.file.fsync(), "EIO");
    },
  ],
];

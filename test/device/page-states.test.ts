/** Pages that the system took away, apart from the list of bad blocks. */
import { expect, test } from "vitest";
import { PageStates } from "../../src/device/index.ts";

const PAGE_SIZE = 4096;

test("markNotPresent() sets both marks, markPoisoned() only the one that programs see", () => {
  const pages = new PageStates(PAGE_SIZE);
  expect(pages.empty).toBe(true);
  pages.markNotPresent(2);
  pages.markPoisoned(5);
  expect(pages.empty).toBe(false);
  expect([1, 2, 3, 5].map((page) => pages.isPresent(page))).toEqual([true, false, true, true]);
  expect([1, 2, 3, 5].map((page) => pages.isPoisoned(page))).toEqual([false, true, false, true]);
});

test("presentLength() counts the bytes before the first page that is not present", () => {
  const pages = new PageStates(PAGE_SIZE);
  pages.markNotPresent(2);
  pages.markPoisoned(1);
  expect(pages.presentLength(100, 4 * PAGE_SIZE)).toBe(2 * PAGE_SIZE - 100);
  expect(pages.presentLength(2 * PAGE_SIZE + 9, 10)).toBe(0);
  expect(pages.presentLength(3 * PAGE_SIZE, 10)).toBe(10);
});

test("poisoned() gives whole pages that a range touches", () => {
  const pages = new PageStates(PAGE_SIZE);
  pages.markPoisoned(1);
  pages.markNotPresent(2);
  pages.markPoisoned(9);
  const touched = [...pages.poisoned({ offset: 2 * PAGE_SIZE - 1, length: 2 })];
  expect(touched).toEqual([{ offset: PAGE_SIZE, length: 2 * PAGE_SIZE }]);
});

test("R1: noteClear() lifts pages that were cleared whole, and never a part", () => {
  const pages = new PageStates(PAGE_SIZE);
  pages.markNotPresent(1);
  pages.markNotPresent(2);
  pages.noteClear({ offset: PAGE_SIZE, length: 512 });
  expect(pages.isPresent(1)).toBe(false);
  // As many bytes as a page, but of no page all.
  pages.noteClear({ offset: PAGE_SIZE + 512, length: PAGE_SIZE });
  expect([pages.isPresent(1), pages.isPresent(2)]).toEqual([false, false]);
  pages.noteClear({ offset: PAGE_SIZE + 512, length: 2 * PAGE_SIZE - 512 });
  expect([pages.isPresent(1), pages.isPresent(2)]).toEqual([false, true]);
  pages.noteClear({ offset: PAGE_SIZE, length: PAGE_SIZE });
  expect(pages.empty).toBe(true);
  expect(pages.isPoisoned(1)).toBe(false);
});

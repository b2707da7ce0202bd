/** What people may write for a donor. */
import { describe, expect, test } from "vitest";
import { parseDonorName } from "../../src/rescue/donor-name.ts";

describe("parseDonorName()", () => {
  const nothing = (): boolean => false;
  test.each([
    ["backup", { place: "backup" }],
    ["a.img,map=a.map", { place: "a.img", map: "a.map" }],
    ["https://h/x?y=1", { place: "https://h/x?y=1", scheme: "https" }],
    ["HTTPS://h/x", { place: "HTTPS://h/x", scheme: "https" }],
    ["/etc/x=https://h/y=z", { place: "https://h/y=z", scheme: "https", path: "/etc/x" }],
    ["/etc/x=/backup/x,map=m", { place: "/backup/x", path: "/etc/x", map: "m" }],
    ["https://h/a,map=b.map", { place: "https://h/a", scheme: "https", map: "b.map" }],
  ])("takes %s apart", (name, parts) => {
    const empty = { name, scheme: undefined, map: undefined, path: undefined };
    expect(parseDonorName(name, nothing)).toEqual({ ...empty, ...parts });
  });

  test("what exists is what it is called", () => {
    for (const name of ["/a=b", "x,map=y", "http://x"])
      expect(parseDonorName(name, (path) => path === name)).toMatchObject({
        place: name,
        scheme: undefined,
        map: undefined,
        path: undefined,
      });
  });
});

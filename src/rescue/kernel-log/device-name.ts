/** Device names: the disk and the partition in the name of a block device, as the kernel prints it. */

/** A block device by name. */
export interface DeviceName {
  /** "sda" of "sda1"; the name itself where it is no partition's. */
  readonly disk: string;
  readonly partition: number | undefined;
}

/**
 * Splits a name as disk_name() in block/partitions/core.c joins it: a `p` between where the disk's name ends in a digit.
 * `/dev/` before it is taken off.
 */
export function splitDeviceName(name: string): DeviceName {
  const plain = name.replace(/^\/dev\//, "");
  const joined =
    /^((?:nvme\d+n|mmcblk|loop|md|nbd|pmem|zram|ram|cciss!c\d+d|rd!c\d+d)\d+|pmem\d+s)p(\d+)$/.exec(
      plain,
    );
  const lettered = /^((?:sd|hd|vd|xvd|ubd|dasd)[a-z]+)(\d+)$/.exec(plain);
  const match = joined ?? lettered;
  if (match === null) return { disk: plain, partition: undefined };
  return { disk: match[1] ?? plain, partition: Number(match[2]) };
}

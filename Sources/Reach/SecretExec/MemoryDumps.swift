import CLinux

/// Keeps what a program has in its memory out of files. Whoever handles secrets calls it before it has read one.
public enum MemoryDumps {
  /// From now on a crash leaves no core dump, wherever the kernel would send it, and no report with registers and the
  /// memory that they point to, which Swift writes to standard error otherwise. No other process of the same user may
  /// look into this one's memory or environment. The limit of 0 goes on to the programs that it starts.
  ///
  /// - Returns: whether the kernel agreed.
  public static func forbid() -> Bool { aw_forbid_dumps() == 1 }
}

/// A text without its line breaks: plain ones, those of JSON strings (escaped once and twice), the backslash before
/// them with which shells go on, and the white space after them. So a value that was wrapped stands in one piece.
///
/// Forms are normalized in the same way. Nothing within a form depends on what is around it, so whatever stands in the
/// text stands in the joined text, too, and one search is enough.
struct JoinedLines {
  private(set) var bytes: [UInt8]
  /// Where something was left out: the offset in `bytes`, and how many bytes were left out up to there.
  private var cuts: [(at: Int, removed: Int)] = []

  /// Nil when there is no line break.
  init?(_ source: UnsafeRawBufferPointer) {
    guard let first = JoinedLines.nextBreak(source, from: 0) else { return nil }
    var cuts: [(Int, Int)] = []
    // The pieces between breaks are copied whole; the buffer is as large as the source, and is never filled past it.
    bytes = [UInt8](unsafeUninitializedCapacity: source.count) { target, count in
      let out = UnsafeMutableRawBufferPointer(target)
      func copy(_ range: Range<Int>) {
        UnsafeMutableRawBufferPointer(rebasing: out[count...])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[range]))
        count += range.count
      }
      var (from, removed) = (0, 0)
      var position: Int? = first
      while let start = position {
        let length = JoinedLines.breakLength(source, at: start)
        var end = start + length
        while end < source.count, source[end] == 0x20 || source[end] == 0x09 { end += 1 }
        let keep = start > from && length == 1 && source[start - 1] == 0x5C ? start - 1 : start
        copy(from..<keep)
        removed += end - keep
        cuts.append((count, removed))
        from = end
        position = JoinedLines.nextBreak(source, from: end)
      }
      copy(from..<source.count)
    }
    self.cuts = cuts
  }

  /// A form as it stands in any joined text: without what joining may take from its ends when the text goes on there.
  /// That is white space and an `n` or `r` behind a backslash at the front, and backslashes at the end.
  static func normalized(_ form: [UInt8]) -> [UInt8] {
    let joined = form.withUnsafeBytes { JoinedLines($0)?.bytes } ?? form
    var rest = joined[...]
    while let last = rest.last, last == 0x5C { rest.removeLast() }
    rest = rest.drop { $0 == 0x20 || $0 == 0x09 }
    if let first = rest.first, first == 0x6E || first == 0x72 { rest = rest.dropFirst() }
    // White space behind such a break goes with it.
    return Array(rest.drop { $0 == 0x20 || $0 == 0x09 })
  }

  /// In the source: from the first byte of a span to its last.
  func span(of span: Range<Int>) -> Range<Int> { source(span.lowerBound)..<(source(span.upperBound - 1) + 1) }

  private func source(_ offset: Int) -> Int {
    var (low, high) = (0, cuts.count)
    while low < high {
      let middle = (low + high) / 2
      if cuts[middle].at <= offset { low = middle + 1 } else { high = middle }
    }
    return offset + (low == 0 ? 0 : cuts[low - 1].removed)
  }

  // MARK: - Breaks

  /// Eight bytes at a time: most of a text has neither a line break nor a backslash.
  private static func nextBreak(_ source: UnsafeRawBufferPointer, from start: Int) -> Int? {
    var position = start
    while position < source.count {
      if position + 8 <= source.count {
        let word = source.loadUnaligned(fromByteOffset: position, as: UInt64.self)
        if !has(word, 0x0A) && !has(word, 0x0D) && !has(word, 0x5C) {
          position += 8
          continue
        }
      }
      let end = min(position + 8, source.count)
      while position < end {
        if breakLength(source, at: position) > 0 { return position }
        position += 1
      }
    }
    return nil
  }

  /// Whether one of the eight bytes is this one.
  @inline(__always)
  private static func has(_ word: UInt64, _ byte: UInt64) -> Bool {
    let different = word ^ (byte &* 0x0101_0101_0101_0101)
    return (different &- 0x0101_0101_0101_0101) & ~different & 0x8080_8080_8080_8080 != 0
  }

  /// How many bytes of a line break begin here; 0 for none.
  @inline(__always)
  private static func breakLength(_ source: UnsafeRawBufferPointer, at position: Int) -> Int {
    let byte = source[position]
    if byte == 0x0A || byte == 0x0D { return 1 }
    guard byte == 0x5C, position + 1 < source.count else { return 0 }
    let next = source[position + 1]
    if next == 0x6E || next == 0x72 { return 2 }
    guard next == 0x5C, position + 2 < source.count else { return 0 }
    return source[position + 2] == 0x6E || source[position + 2] == 0x72 ? 3 : 0
  }
}

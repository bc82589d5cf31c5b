import TestSupport

/// Makes valid inputs invalid.
struct Mutator {
  /// Bytes that mean something to parsers of JSON, HTTP and frames.
  private static let meaningful: [UInt8] =
    [0, 1, 0x7e, 0x7f, 0x80, 0x81, 0x88, 0x89, 0xff] + Array("{}[]\",:\\\r\n -.e9".utf8)

  let corpus: [[UInt8]]
  var random: Seeded

  /// One of the corpus, changed in one to eight places; one in sixteen stays as it is.
  mutating func next() -> [UInt8] {
    var bytes = corpus[Int.random(in: 0..<corpus.count, using: &random)]
    guard Int.random(in: 0..<16, using: &random) > 0 else { return bytes }
    for _ in 0..<Int.random(in: 1...8, using: &random) { change(&bytes) }
    return bytes
  }

  private mutating func change(_ bytes: inout [UInt8]) {
    guard !bytes.isEmpty else { return bytes.append(.random(in: 0...255, using: &random)) }
    let at = Int.random(in: 0..<bytes.count, using: &random)
    let end = min(bytes.count, at + Int.random(in: 1...32, using: &random))
    switch Int.random(in: 0..<9, using: &random) {
    case 0: bytes[at] ^= 1 << UInt8.random(in: 0...7, using: &random)
    case 1: bytes[at] = .random(in: 0...255, using: &random)
    case 2: bytes[at] = Self.meaningful[Int.random(in: 0..<Self.meaningful.count, using: &random)]
    case 3: bytes.removeSubrange(at..<end)
    case 4: bytes.insert(contentsOf: bytes[at..<end], at: at)
    case 5: bytes.removeSubrange(at...)
    case 6:
      let other = corpus[Int.random(in: 0..<corpus.count, using: &random)]
      bytes.insert(contentsOf: other.prefix(Int.random(in: 0...other.count, using: &random)), at: at)
    case 7: bytes.insert(contentsOf: Self.meaningful.shuffled(using: &random).prefix(4), at: at)
    // Deep nesting, long runs.
    default:
      let byte = Self.meaningful[Int.random(in: 0..<Self.meaningful.count, using: &random)]
      bytes.insert(contentsOf: repeatElement(byte, count: Int.random(in: 1...2_000, using: &random)), at: at)
    }
  }

  /// The bytes in pieces, as a network gives them.
  mutating func pieces(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
    var (rest, pieces) = (bytes[...], [ArraySlice<UInt8>]())
    while !rest.isEmpty {
      let piece = rest.prefix(Int.random(in: 1...max(1, rest.count), using: &random))
      pieces.append(piece)
      rest = rest.dropFirst(piece.count)
    }
    return pieces
  }
}

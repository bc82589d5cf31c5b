import Basics
import Crypto
import Foundation

/// Finds known values in bytes, in any of their forms: a pure value.
///
/// It holds none of the values. Of each form it keeps the length, a hash of eight of its bytes (the anchor), and a
/// keyed digest of all of them. A scan hashes the eight bytes at every position and looks them up in a filter that
/// fits a core's second cache; only where the filter says yes are the digests compared. So a find is certain, and what
/// is not found is not there in any form that was compiled.
public struct ExactScanner: Sendable {
  /// Changes with the forms.
  public static let version = "exact/1"
  /// Shorter values cannot be told from chance, and are not looked for.
  public static let valueBytesMin = 8
  /// From so many bytes on, a value need not be mixed of several kinds of characters to be told from a word.
  public static let plainBytesMax = 15
  /// Longer ones are not compiled: no secret that AW keeps is as long.
  public static let valueBytesMax = 16_384
  static let anchorBytes = 8

  /// Where a value was found; never the value.
  public struct Finding: Hashable, Sendable {
    public let reference: String
    public let form: SecretForm
    /// In the bytes that were scanned. Of a compressed stream: the whole stream.
    public let span: Range<Int>
    /// Whether it was in a compressed stream.
    public let wasCompressed: Bool
  }

  public struct Result: Sendable, Equatable {
    public var findings: [Finding] = []
    /// Compressed streams that could not be read to their end, which therefore say nothing.
    public var unread: [Range<Int>] = []
  }

  struct Pattern: Sendable {
    /// 40 bits of the anchor's hash: fewer than the anchor has, so that it does not give the anchor away.
    let anchor: UInt64
    let digest: (UInt64, UInt64)
    let length: UInt32
    /// Where the anchor stands in the form.
    let offset: UInt32
    let form: SecretForm
    var value: UInt32 = 0
    /// The next pattern of the same bucket; -1 for none.
    var next: Int32 = -1
  }

  let key: SymmetricKey
  private(set) var patterns: [Pattern] = []
  /// A filter with two bits for each pattern, both in one word.
  private(set) var filter: [UInt64]
  private var buckets: [Int32]
  private var references: [String] = []
  private var known: Set<Digest> = []

  private struct Digest: Hashable {
    let high: UInt64, low: UInt64
  }

  /// - Parameter key: for the digests: one that stays where the values are.
  public init(key: SymmetricKey) {
    self.key = key
    filter = [UInt64](repeating: 0, count: 1 << 10)
    buckets = [Int32](repeating: -1, count: 1 << 10)
  }

  /// How many values are looked for.
  public var values: Int { references.count }

  /// Adds a value. One that is there already, under whatever reference, changes nothing.
  ///
  /// - Returns: false when it is too short, too plain or too long to be looked for.
  @discardableResult
  public mutating func insert(_ value: [UInt8], as reference: String) -> Bool {
    guard ExactScanner.canLookFor(value) else { return false }
    let forms = SecretForms.all(of: value)
    guard let raw = forms.first, !known.contains(digest(raw.bytes)) else { return true }
    references.append(reference)
    for (form, bytes) in forms { insert(bytes, form) }
    return true
  }

  /// Whether finding it would say anything: the password `password` stands in many an honest text, and so does every
  /// word and every date. What is short must have two of small letters, capitals, digits and other signs.
  static func canLookFor(_ value: [UInt8]) -> Bool {
    guard (valueBytesMin...valueBytesMax).contains(value.count) else { return false }
    let kinds = Set(
      value.compactMap { byte -> Int? in
        switch byte {
        case 0x61...0x7A: 0
        case 0x41...0x5A: 1
        case 0x30...0x39: 2
        case 0...0x20, 0x2D, 0x2E, 0x5F: nil
        default: 3
        }
      })
    return value.count > plainBytesMax || kinds.count > 1
  }

  @discardableResult
  public mutating func insert(_ value: Secret, as reference: String) -> Bool {
    value.withBytes { insert($0, as: reference) }
  }

  /// Adds a value that was compiled before, with the same key.
  public mutating func insert(_ forms: CompiledForms, as reference: String) {
    let fresh = forms.patterns.filter { !known.contains(Digest(high: $0.digest.0, low: $0.digest.1)) }
    guard !fresh.isEmpty else { return }
    references.append(reference)
    for pattern in fresh { insert(pattern) }
  }

  private mutating func insert(_ bytes: [UInt8], _ form: SecretForm) {
    let digest = digest(bytes)
    guard !known.contains(digest) else { return }
    let (anchor, offset) = bytes.withUnsafeBytes { chooseAnchor(in: $0) }
    insert(
      Pattern(
        anchor: anchor, digest: (digest.high, digest.low), length: UInt32(bytes.count), offset: UInt32(offset),
        form: form))
  }

  private mutating func insert(_ pattern: Pattern) {
    var pattern = pattern
    pattern.value = UInt32(references.count - 1)
    known.insert(Digest(high: pattern.digest.0, low: pattern.digest.1))
    patterns.append(pattern)
    if patterns.count > buckets.count { rebuild(count: buckets.count * 4) } else { link(patterns.count - 1) }
  }

  /// Values of one vendor begin alike, and in any text much is like something. So of a few places the one is taken
  /// whose bucket is the emptiest, and whose bytes differ most.
  private func chooseAnchor(in bytes: UnsafeRawBufferPointer) -> (hash: UInt64, offset: Int) {
    let last = bytes.count - ExactScanner.anchorBytes
    let places = Set([last, last * 3 / 4, last / 2, last / 4, 0]).sorted(by: >)
    let scored = places.map { offset -> (cost: Int, hash: UInt64, offset: Int) in
      let hash = ExactScanner.anchor(bytes, at: offset)
      var length = 0
      var next = buckets[bucket(hash)]
      while next >= 0, length < 64 { (length, next) = (length + 1, patterns[Int(next)].next) }
      let distinct = Set(bytes[offset..<(offset + ExactScanner.anchorBytes)]).count
      return (length * 4 + ExactScanner.anchorBytes - distinct, hash, offset)
    }
    let best = scored.min { $0.cost < $1.cost } ?? (0, 0, 0)
    return (best.hash, best.offset)
  }

  private mutating func link(_ index: Int) {
    let hash = patterns[index].anchor
    let bucket = bucket(hash)
    patterns[index].next = buckets[bucket]
    buckets[bucket] = Int32(index)
    filter[ExactScanner.word(hash, filter.count)] |= ExactScanner.bits(hash)
  }

  private mutating func rebuild(count: Int) {
    buckets = [Int32](repeating: -1, count: count)
    // Half a word for each pattern keeps false candidates under one in a hundred; 2^16 words are 512 KiB.
    filter = [UInt64](repeating: 0, count: min(count / 2, ExactScanner.filterWordsMax))
    for index in patterns.indices { link(index) }
  }

  private func bucket(_ hash: UInt64) -> Int {
    Int(truncatingIfNeeded: (hash &* 0x9E37_79B9_7F4A_7C15) >> 32) & (buckets.count - 1)
  }

  private func digest(_ bytes: some DataProtocol) -> Digest {
    let code = HMAC<SHA256>.authenticationCode(for: bytes, using: key)
    return code.withUnsafeBytes {
      Digest(high: $0.loadUnaligned(as: UInt64.self), low: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }
  }

  // MARK: - Hashing of anchors

  static let filterWordsMax = 1 << 16
  private static let multiplier: UInt64 = 0xD6E8_FEB8_6659_FD93
  private static let hashShift: UInt64 = 24

  @inline(__always)
  static func anchor(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> UInt64 {
    (bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) &* multiplier) >> hashShift
  }

  /// The upper bits of a product depend on all eight bytes; so the word is taken from them.
  @inline(__always)
  static func word(_ hash: UInt64, _ count: Int) -> Int { Int(truncatingIfNeeded: hash >> 23) & (count - 1) }

  @inline(__always)
  static func bits(_ hash: UInt64) -> UInt64 { 1 << ((hash >> 17) & 63) | 1 << ((hash >> 11) & 63) }

  // MARK: - The search

  /// Calls `found` for every form in `bytes`, in the order of their anchors.
  func search(_ bytes: UnsafeRawBufferPointer, _ found: (Pattern, Range<Int>) -> Void) {
    let last = bytes.count - ExactScanner.anchorBytes
    guard last >= 0, !patterns.isEmpty, let start = bytes.baseAddress else { return }
    filter.withUnsafeBufferPointer { filter in
      guard let words = filter.baseAddress else { return }
      let mask = filter.count - 1
      var offset = 0
      // Pointers without bounds checks, because this runs for every byte: `offset` never exceeds `last`, eight bytes
      // before the end, and the index of the word is cut to the filter's size, which is a power of two.
      while offset <= last {
        let hash =
          (start.loadUnaligned(fromByteOffset: offset, as: UInt64.self) &* ExactScanner.multiplier)
          >> ExactScanner.hashShift
        let bits = ExactScanner.bits(hash)
        if words[Int(truncatingIfNeeded: hash >> 23) & mask] & bits == bits {
          compare(bytes, at: offset, hash, found)
        }
        offset &+= 1
      }
    }
  }

  @inline(never)
  private func compare(
    _ bytes: UnsafeRawBufferPointer, at offset: Int, _ hash: UInt64, _ found: (Pattern, Range<Int>) -> Void
  ) {
    var next = buckets[bucket(hash)]
    // Several values can have forms of one length around one anchor, and a digest is computed once for all of them.
    var last: (span: Range<Int>, digest: Digest)?
    while next >= 0 {
      let pattern = patterns[Int(next)]
      next = pattern.next
      let lower = offset - Int(pattern.offset)
      let upper = lower + Int(pattern.length)
      guard pattern.anchor == hash, lower >= 0, upper <= bytes.count else { continue }
      if last?.span != lower..<upper {
        last = (lower..<upper, digest(Data(UnsafeRawBufferPointer(rebasing: bytes[lower..<upper]))))
      }
      guard let last, last.digest.high == pattern.digest.0, last.digest.low == pattern.digest.1 else { continue }
      found(pattern, last.span)
    }
  }

  func reference(of pattern: Pattern) -> String { references[Int(pattern.value)] }
}

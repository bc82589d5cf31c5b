import Basics
import Foundation

extension ExactScanner {
  /// Streams in streams are read to this depth.
  static let compressedDepthMax = 3
  /// So many bytes are read out of the compressed streams of one scan.
  public static let inflatedBytesMax = 8_388_608

  public func scan(_ text: String) -> Result { scan(Array(text.utf8)) }

  /// Looks at the bytes without their line breaks, and into the gzip streams in them, as they are and in
  /// Base64.
  public func scan(_ bytes: [UInt8]) -> Result {
    var looking = Looking(scanner: self)
    bytes.withUnsafeBytes { looking.look($0, depth: 0) }
    return looking.result
  }
}

/// One scan on its way.
private struct Looking {
  let scanner: ExactScanner
  var result = ExactScanner.Result()
  private var seen: Set<ExactScanner.Finding> = []
  private var inflated = 0
  /// The stream that is looked into, in the outermost bytes.
  private var stream: Range<Int>?

  init(scanner: ExactScanner) { self.scanner = scanner }

  mutating func look(_ bytes: UnsafeRawBufferPointer, depth: Int) {
    if let joined = JoinedLines(bytes) {
      joined.bytes.withUnsafeBytes { buffer in scanner.search(buffer) { note($0, at: joined.span(of: $1)) } }
    } else {
      scanner.search(bytes) { note($0, at: $1) }
    }
    guard depth < ExactScanner.compressedDepthMax else { return }
    for (span, content) in CompressedStreams.find(in: bytes) {
      let room = ExactScanner.inflatedBytesMax - inflated
      let inflated = content.withUnsafeBytes { Inflate.gzip($0, most: room) }
      self.inflated += inflated.bytes.count
      // A few bytes that happen to look like the beginning of a stream give nothing.
      guard !inflated.bytes.isEmpty else { continue }
      let outer = stream
      stream = outer ?? span
      if !inflated.isWhole { result.unread.append(stream ?? span) }
      inflated.bytes.withUnsafeBytes { look($0, depth: depth + 1) }
      stream = outer
    }
  }

  private mutating func note(_ pattern: ExactScanner.Pattern, at span: Range<Int>) {
    let finding = ExactScanner.Finding(
      reference: scanner.reference(of: pattern), form: pattern.form, span: stream ?? span,
      wasCompressed: stream != nil)
    if seen.insert(finding).inserted { result.findings.append(finding) }
  }
}

/// Where gzip streams begin, by their first three bytes.
private enum CompressedStreams {
  static func find(in bytes: UnsafeRawBufferPointer) -> [(span: Range<Int>, content: [UInt8])] {
    var found: [(Range<Int>, [UInt8])] = []
    for start in places(of: [0x1F, 0x8B, 0x08], in: bytes) {
      found.append((start..<bytes.count, Array(bytes[start...])))
    }
    for start in places(of: Array("H4sI".utf8), in: bytes) {
      let end = bytes[start...].firstIndex { !isBase64($0) } ?? bytes.count
      let text = bytes[start..<end].map { $0 == 0x2D ? 0x2B : $0 == 0x5F ? 0x2F : $0 }
      let whole = text.count % 4 == 1 ? text.dropLast() : text[...]
      let padded = Array(whole) + [UInt8](repeating: 0x3D, count: (4 - whole.count % 4) % 4)
      if let content = Data(base64Encoded: Data(padded)) { found.append((start..<end, Array(content))) }
    }
    return found
  }

  /// Every place of a short text.
  private static func places(of needle: [UInt8], in bytes: UnsafeRawBufferPointer) -> [Int] {
    guard let start = bytes.baseAddress else { return [] }
    var places: [Int] = []
    var from = 0
    // memchr looks only within the length that it is given.
    while from + needle.count <= bytes.count,
      let hit = memchr(start + from, Int32(needle[0]), bytes.count - needle.count + 1 - from)
    {
      let place = UnsafeRawPointer(hit) - start
      if needle.indices.allSatisfy({ bytes[place + $0] == needle[$0] }) { places.append(place) }
      from = place + 1
    }
    return places
  }

  private static func isBase64(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
      || byte == 0x2B || byte == 0x2F || byte == 0x2D || byte == 0x5F
  }
}

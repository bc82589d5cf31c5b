import NIOCore

/// Cuts what arrives where HTTP/2's frames end (RFC 9113, section 4.1), keeps what is left for later, and sees how much
/// data passes for which stream: a value.
///
/// The library's decoder keeps all that it has read until the end of its input is the end of a frame, too. On a link
/// that is never quiet that may take minutes, and it then holds, and copies, tens of megabytes. Given whole frames it
/// holds nothing.
struct FrameAligner: Sendable {
  static let headerBytes = 9
  /// What an HTTP/2 client sends first.
  static let prefaceBytes = 24

  /// What is left of the preface, which is no frame.
  private var preface: Int
  /// The beginning of a frame that has not come whole.
  private var rest = ByteBuffer()

  /// - Parameter isServer: of HTTP/2: the far end begins with the preface.
  init(isServer: Bool) { preface = isServer ? Self.prefaceBytes : 0 }

  /// - Parameter data: told of the data in what is returned.
  /// - Returns: the whole frames; nil when none has come whole. A frame longer than one may be passes as it comes, for
  ///   the decoder to refuse.
  mutating func take(_ bytes: ByteBuffer, data: (_ bytes: Int, _ stream: Int) -> Void) -> ByteBuffer? {
    var input = bytes
    if rest.readableBytes > 0 {
      input = rest
      rest = ByteBuffer()
      input.writeImmutableBuffer(bytes)
    }
    var whole = min(preface, input.readableBytes)
    preface -= whole
    while let start = input.getBytes(at: input.readerIndex + whole, length: 3) {
      let length = start.reduce(0) { $0 << 8 | Int($1) }
      guard length <= LinkLimits.frameBytesMax else { return input }
      guard whole + Self.headerBytes + length <= input.readableBytes else { break }
      if let stream = Self.dataStream(input, at: input.readerIndex + whole) { data(length, stream) }
      whole += Self.headerBytes + length
    }
    guard whole > 0, let frames = input.readSlice(length: whole) else {
      rest = input
      return nil
    }
    // A copy: a few bytes must not hold on to all that came with them.
    rest.writeImmutableBuffer(input)
    return frames
  }

  /// The stream of a frame that holds data; nil for another one.
  private static func dataStream(_ input: ByteBuffer, at index: Int) -> Int? {
    guard input.getInteger(at: index + 3, as: UInt8.self) == 0 else { return nil }
    return input.getInteger(at: index + 5, as: UInt32.self).map { Int($0 & 0x7fff_ffff) }
  }
}

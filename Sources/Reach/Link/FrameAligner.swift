import NIOCore

/// Cuts what arrives where HTTP/2's frames end (RFC 9113, section 4.1), and keeps what is left for later: a value.
///
/// The library's decoder keeps all that it has read until the end of its input is the end of a frame, too. On a link
/// that is never quiet that may take minutes, and it then holds, and copies, tens of megabytes. Given whole frames it
/// holds nothing.
struct FrameAligner: Sendable {
  /// What is left of the preface, which is no frame.
  private var preface: Int
  /// The beginning of a frame that has not come whole.
  private var rest = ByteBuffer()

  init(skipping prefaceBytes: Int = 0) { preface = prefaceBytes }

  /// - Returns: the whole frames; nil when none has come whole. A frame longer than one may be passes as it comes, for
  ///   the decoder to refuse.
  mutating func take(_ bytes: ByteBuffer) -> ByteBuffer? {
    var input = bytes
    if rest.readableBytes > 0 {
      input = rest
      rest = ByteBuffer()
      input.writeImmutableBuffer(bytes)
    }
    var whole = min(preface, input.readableBytes)
    preface -= whole
    while let start = input.getBytes(at: input.readerIndex + whole, length: 3) {
      let length = FrameMeter.length(start)
      guard length <= LinkLimits.frameBytesMax else { return input }
      guard whole + FrameMeter.headerBytes + length <= input.readableBytes else { break }
      whole += FrameMeter.headerBytes + length
    }
    guard whole > 0, let frames = input.readSlice(length: whole) else {
      rest = input
      return nil
    }
    // A copy: a few bytes must not hold on to all that came with them.
    rest.writeImmutableBuffer(input)
    return frames
  }
}

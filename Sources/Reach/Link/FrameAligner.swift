import NIOCore

/// Cuts what arrives where HTTP/2's frames end (RFC 9113, section 4.1), and sees how much data passes for which stream:
/// a value.
///
/// The library's decoder keeps all that it has read until the end of its input is the end of a frame, too. On a link
/// that is never quiet that may take minutes, and it then holds, and copies, tens of megabytes. So its input ends where
/// a frame does whenever that is possible; only data, of which it keeps nothing, passes as it comes.
///
/// The decoder also keeps its last input when that is used up, and with it the 32 KiB that TLS reads into, on every
/// link. So a small input is copied: TLS has its buffer back then, and the decoder keeps little.
///
/// | what arrives | what passes |
/// | --- | --- |
/// | whole frames | they do |
/// | the beginning of a frame with data | behind the whole frames, by itself |
/// | more of its data | as it comes, up to the end of the frame with what follows |
/// | the beginning of another frame | nothing, before it is whole |
struct FrameAligner: Sendable {
  static let headerBytes = 9
  /// What an HTTP/2 client sends first.
  static let prefaceBytes = 24

  /// What passes, in this order.
  struct Cut: Sendable, Equatable {
    /// Ends where a frame ends; nil for nothing.
    var whole: ByteBuffer?
    /// Ends within the data of a frame; nil for nothing.
    var begun: ByteBuffer?
  }

  /// What is left of the preface, which is no frame.
  private var preface: Int
  /// What is left of the frame with data that has begun to pass.
  private var begun = 0
  /// The beginning of a frame that has to be whole.
  private var rest = ByteBuffer()

  /// - Parameter isServer: of HTTP/2: the far end begins with the preface.
  init(isServer: Bool) { preface = isServer ? Self.prefaceBytes : 0 }

  /// - Parameter data: told of the data of each frame when that begins to pass.
  /// - Returns: what passes. A frame longer than one may be passes as it comes, for the decoder to refuse.
  mutating func take(_ bytes: ByteBuffer, data: (_ bytes: Int, _ stream: Int) -> Void) -> Cut {
    var input = rest
    if rest.readableBytes > 0 {
      rest = ByteBuffer()
      input.writeImmutableBuffer(bytes)
    } else {
      input = bytes.readableBytes > LinkLimits.copiedBytesMax ? bytes : ByteBuffer(bytes: bytes.readableBytesView)
    }
    // Nothing is left of the preface once a frame has begun.
    var whole = min(preface + begun, input.readableBytes)
    if preface > 0 { preface -= whole } else { begun -= whole }
    guard begun == 0 else { return Cut(begun: input) }
    while let head = Head(input, at: input.readerIndex + whole) {
      guard head.length <= LinkLimits.frameBytesMax else { return Cut(whole: input) }
      let end = whole + Self.headerBytes + head.length
      guard end <= input.readableBytes || head.isPlainData else { break }
      if head.isData { data(head.length, head.stream) }
      guard end <= input.readableBytes else {
        begun = end - input.readableBytes
        return Cut(whole: input.readSlice(length: whole).flatMap(Self.nonempty), begun: input)
      }
      whole = end
    }
    let passes = input.readSlice(length: whole).flatMap(Self.nonempty)
    // A copy: a few bytes must not hold on to all that came with them.
    rest.writeImmutableBuffer(input)
    return Cut(whole: passes)
  }

  private static func nonempty(_ bytes: ByteBuffer) -> ByteBuffer? { bytes.readableBytes > 0 ? bytes : nil }

  /// What stands before each frame.
  private struct Head {
    let length: Int
    let stream: Int
    let isData: Bool
    /// Without padding, whose length the decoder has to see.
    let isPlainData: Bool

    /// Nil when not all of it is there, unless its length already is too much.
    init?(_ input: ByteBuffer, at index: Int) {
      guard let high = input.getInteger(at: index, as: UInt8.self),
        let low = input.getInteger(at: index + 1, as: UInt16.self)
      else { return nil }
      length = Int(high) << 16 | Int(low)
      guard let type = input.getInteger(at: index + 3, as: UInt8.self),
        let flags = input.getInteger(at: index + 4, as: UInt8.self),
        let identifier = input.getInteger(at: index + 5, as: UInt32.self)
      else {
        guard length > LinkLimits.frameBytesMax else { return nil }
        (stream, isData, isPlainData) = (0, false, false)
        return
      }
      stream = Int(identifier & 0x7fff_ffff)
      isData = type == 0
      isPlainData = isData && flags & 0x8 == 0
    }
  }
}

/// One reply of a mail server: three digits and one or more lines of text.
struct SMTPReply: Hashable, Sendable {
  let code: Int
  let lines: [String]

  var isPositive: Bool { (200..<400).contains(code) }
  var isTransient: Bool { (400..<500).contains(code) }
}

/// Cuts what a mail server sends into replies. It never holds more than one reply of limited length.
struct SMTPReplyParser: Sendable {
  enum Broken: Error, Hashable, Sendable {
    case lineTooLong, tooManyLines, noReply, codesDiffer
  }

  private var line: [UInt8] = []
  private var code: Int?
  private var lines: [String] = []

  /// Whether nothing of a further reply has come yet. Must hold when TLS begins: what was said in the clear must not be
  /// taken for said in private.
  var isEmpty: Bool { line.isEmpty && code == nil }

  /// Takes what came and gives the replies that are complete now.
  mutating func feed(_ bytes: some Sequence<UInt8>) throws(Broken) -> [SMTPReply] {
    var replies: [SMTPReply] = []
    for byte in bytes {
      guard byte == 0x0a else {
        guard line.count < EndpointLimits.smtpLineBytesMax else { throw .lineTooLong }
        line.append(byte)
        continue
      }
      if line.last == 0x0d { line.removeLast() }
      if let reply = try take(line) { replies.append(reply) }
      line = []
    }
    return replies
  }

  private mutating func take(_ line: [UInt8]) throws(Broken) -> SMTPReply? {
    let digits = line.prefix(3).compactMap { (0x30...0x39).contains($0) ? Int($0) - 0x30 : nil }
    guard digits.count == 3, (2...5).contains(digits[0]) else { throw .noReply }
    let number = digits[0] * 100 + digits[1] * 10 + digits[2]
    let separator = line.count > 3 ? line[3] : 0x20
    guard separator == 0x20 || separator == 0x2d else { throw .noReply }
    guard code == nil || code == number else { throw .codesDiffer }
    guard lines.count < EndpointLimits.smtpReplyLinesMax else { throw .tooManyLines }
    lines.append(String(decoding: line.dropFirst(4), as: UTF8.self))
    guard separator == 0x20 else {
      code = number
      return nil
    }
    let reply = SMTPReply(code: number, lines: lines)
    (code, lines) = (nil, [])
    return reply
  }
}

/// The content of a mail on the wire.
enum SMTPContent {
  /// Lines end with CRLF; one that begins with a dot gets another; a lone dot ends it (RFC 5321 section 4.5.2).
  static func onWire(_ message: String) -> String {
    let dot = UInt8(ascii: ".")
    let stuffed = MailLines.of(message).flatMap { ($0.first == dot ? [dot] : []) + $0 + [0x0d, 0x0a] }
    return String(decoding: stuffed, as: UTF8.self) + ".\r\n"
  }
}

/// Lines as mail has them: bytes, whatever Swift thinks that a character is.
enum MailLines {
  /// Splits at CRLF, CR and LF. An end of line at the end begins no further line.
  static func of(_ text: String) -> [[UInt8]] {
    var (lines, line, last): ([[UInt8]], [UInt8], UInt8) = ([], [], 0)
    for byte in text.utf8 {
      switch (byte, last) {
      case (0x0a, 0x0d): break
      case (0x0a, _), (0x0d, _):
        lines.append(line)
        line = []
      default: line.append(byte)
      }
      last = byte
    }
    return line.isEmpty ? lines : lines + [line]
  }
}

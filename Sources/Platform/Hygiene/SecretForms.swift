import Foundation

/// How a value can stand in a text: the encodings that it goes through on its way there.
public enum SecretForm: UInt8, Sendable {
  case raw, json, jsonTwice, unicodeEscapes, url, hex, shell, html, base64, utf16, mask

  /// For records: `jsonTwice`.
  public var rawText: String { "\(self)" }

  /// A person's words for it.
  public var title: String {
    switch self {
    case .raw: "as it is"
    case .json: "JSON-escaped"
    case .jsonTwice: "JSON-escaped twice"
    case .unicodeEscapes: "as \\u escapes"
    case .url: "URL-encoded"
    case .hex: "in hexadecimal"
    case .shell: "quoted for a shell"
    case .html: "HTML-escaped"
    case .base64: "in Base64"
    case .utf16: "in UTF-16"
    case .mask: "as OpenClaw masks it"
    }
  }
}

/// Every form of one value: pure functions over bytes.
enum SecretForms {
  /// Distinct texts, each with the first form that gives it, as they stand in a text without line breaks
  /// (`JoinedLines`). All have `ExactScanner.anchorBytes` or more.
  static func all(of value: [UInt8]) -> [(form: SecretForm, bytes: [UInt8])] {
    var seen: Set<[UInt8]> = []
    var forms: [(SecretForm, [UInt8])] = []
    func add(_ form: SecretForm, _ texts: [[UInt8]]) {
      for text in texts {
        let bytes = JoinedLines.normalized(text)
        if bytes.count >= ExactScanner.anchorBytes, seen.insert(bytes).inserted { forms.append((form, bytes)) }
      }
    }
    add(.raw, [value])
    add(.raw, withoutOneGap(value))
    if !value.allSatisfy(isAlphanumeric) {
      let once = json(value)
      add(.json, once)
      add(.jsonTwice, once.flatMap(json))
      add(.url, urls(value))
      add(.shell, shells(value))
      add(.html, [html(value)])
    }
    add(.hex, hexes(value))
    add(.base64, base64s(value))
    if let text = String(validating: value, as: UTF8.self) {
      add(.unicodeEscapes, unicodeEscapes(text))
      add(.utf16, utf16s(text))
      add(.mask, masks(text))
    }
    if let body = pemBody(value) {
      add(.raw, [body])
      add(.base64, base64s(body))
      add(.url, urls(body))
    }
    return forms
  }

  /// A value that was wrapped at one of its spaces has lost it in a joined text.
  private static func withoutOneGap(_ value: [UInt8]) -> [[UInt8]] {
    value.indices.filter { value[$0] == 0x20 || value[$0] == 0x09 }.prefix(gapsMax).map { gap in
      Array(value[..<gap] + value[(gap + 1)...])
    }
  }

  private static let gapsMax = 8

  /// What is between the first and the last line of a PEM block, in one piece: it is the secret, and stands alone, too.
  private static func pemBody(_ value: [UInt8]) -> [UInt8]? {
    let lines = value.split(separator: 0x0A)
    guard lines.count >= 3, lines[0].starts(with: "-----BEGIN ".utf8) else { return nil }
    return lines.dropFirst().prefix { !$0.starts(with: "-----END ".utf8) }.flatMap { $0.filter { $0 != 0x0D } }
  }

  // MARK: - Escapes

  /// With the short escapes, `/` plain and escaped, and control characters in both cases of hexadecimal.
  private static func json(_ value: [UInt8]) -> [[UInt8]] {
    let needs = value.contains { $0 < 0x20 || $0 == 0x22 || $0 == 0x5C || $0 == 0x2F || $0 == 0x7F }
    guard needs else { return [value] }
    return [(false, false), (true, false), (false, true), (true, true)].map { slash, upper in
      value.flatMap { byte -> [UInt8] in
        switch byte {
        case 0x22: Array(#"\""#.utf8)
        case 0x5C: Array(#"\\"#.utf8)
        case 0x2F where slash: Array(#"\/"#.utf8)
        case 0x08: Array(#"\b"#.utf8)
        case 0x09: Array(#"\t"#.utf8)
        case 0x0A: Array(#"\n"#.utf8)
        case 0x0C: Array(#"\f"#.utf8)
        case 0x0D: Array(#"\r"#.utf8)
        case 0..<0x20:
          Array(#"\u00"#.utf8) + [0x30 + (byte >> 4), (upper ? upperDigits : lowerDigits)[Int(byte & 15)]]
        default: [byte]
        }
      }
    }
  }

  /// Each character as `\u0041`; and only those beyond ASCII, as many JSON writers do.
  private static func unicodeEscapes(_ text: String) -> [[UInt8]] {
    let units = Array(text.utf16)
    let isASCII = units.allSatisfy { $0 < 0x80 }
    return [lowerDigits, upperDigits].flatMap { digits -> [[UInt8]] in
      func escaped(_ unit: UInt16) -> [UInt8] {
        [0x5C, 0x75] + [12, 8, 4, 0].map { digits[Int(unit >> $0) & 15] }
      }
      let whole = units.flatMap(escaped)
      return isASCII ? [whole] : [whole, units.flatMap { $0 < 0x80 ? [UInt8($0)] : escaped($0) }]
    }
  }

  /// RFC 3986, JavaScript's `encodeURIComponent`, forms with `+`, and everything but letters and digits; the digits of
  /// escapes in both cases.
  private static func urls(_ value: [UInt8]) -> [[UInt8]] {
    let kept = ["-._~", "-_.!~*'()", "", "-._~:/?#[]@!$&'()*+,;="].map { Set($0.utf8) }
    var forms: [[UInt8]] = []
    for plain in kept {
      for digits in [upperDigits, lowerDigits] {
        let bytes = value.flatMap { byte -> [UInt8] in
          if isAlphanumeric(byte) || plain.contains(byte) { return [byte] }
          return [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
        forms.append(bytes)
        if value.contains(0x20) {
          forms.append(Array(String(decoding: bytes, as: UTF8.self).replacing("%20", with: "+").utf8))
        }
      }
    }
    return forms
  }

  private static func hexes(_ value: [UInt8]) -> [[UInt8]] {
    [lowerDigits, upperDigits].map { digits in value.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] } }
  }

  /// Within `'…'`, within `"…"`, with backslashes alone, and as `$'…'`.
  private static func shells(_ value: [UInt8]) -> [[UInt8]] {
    let special = Set(#""\$`"#.utf8)
    return [
      value.flatMap { $0 == 0x27 ? Array(#"'\''"#.utf8) : [$0] },
      value.flatMap { $0 == 0x27 ? Array(#"'"'"'"#.utf8) : [$0] },
      value.flatMap { special.contains($0) ? [0x5C, $0] : [$0] },
      value.flatMap { isAlphanumeric($0) || "-_./:@%+,=".utf8.contains($0) || $0 > 0x7F ? [$0] : [0x5C, $0] },
      value.flatMap { isAlphanumeric($0) || "-_./".utf8.contains($0) || $0 > 0x7F ? [$0] : [0x5C, $0] },
      value.flatMap { $0 == 0x27 ? Array(#"\'"#.utf8) : $0 == 0x5C ? Array(#"\\"#.utf8) : [$0] },
    ]
  }

  private static func html(_ value: [UInt8]) -> [UInt8] {
    value.flatMap { byte -> [UInt8] in
      switch byte {
      case 0x26: Array("&amp;".utf8)
      case 0x3C: Array("&lt;".utf8)
      case 0x3E: Array("&gt;".utf8)
      case 0x22: Array("&quot;".utf8)
      case 0x27: Array("&#39;".utf8)
      default: [byte]
      }
    }
  }

  // MARK: - Base64 and UTF-16

  /// Behind 0, 1 and 2 other bytes, without the characters that depend on what stands before and after.
  private static func base64s(_ value: [UInt8]) -> [[UInt8]] {
    (0..<3).flatMap { shift -> [[UInt8]] in
      let encoded = Array(Data([UInt8](repeating: 0, count: shift) + value).base64EncodedString().utf8)
      let whole = Array(encoded[((8 * shift + 5) / 6)..<(8 * (shift + value.count) / 6)])
      return [whole, whole.map { $0 == 0x2B ? 0x2D : $0 == 0x2F ? 0x5F : $0 }]
    }
  }

  private static func utf16s(_ text: String) -> [[UInt8]] {
    let units = Array(text.utf16)
    return [
      units.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] },
      units.flatMap { [UInt8($0 >> 8), UInt8(truncatingIfNeeded: $0)] },
    ]
  }

  // MARK: - Masks

  /// What OpenClaw leaves of a value: the first six and the last four characters, with an ellipsis between.
  private static func masks(_ text: String) -> [[UInt8]] {
    guard text.count >= Masks.maskedCharactersMin else { return [] }
    let (front, back) = (text.prefix(Masks.frontCharacters), text.suffix(Masks.backCharacters))
    return Masks.gaps.map { Array("\(front)\($0)\(back)".utf8) }
  }

  private static let lowerDigits = Array("0123456789abcdef".utf8)
  private static let upperDigits = Array("0123456789ABCDEF".utf8)

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
  }
}

import Basics
import CZlib
import Foundation
import TestSupport

/// Secrets of OpenClaw's kinds in the places where they come out, and what only looks like them. All from a seed.
struct Corpus {
  struct Item: Sendable {
    let text: [UInt8]
    /// What is planted; nil for a hard negative.
    let secret: String?
    let context: String
  }

  private(set) var secrets: [String] = []
  private(set) var planted: [Item] = []
  private(set) var negatives: [Item] = []
  private var random: Seeded

  static let kinds = 18

  /// - Parameter each: how many secrets of each kind are made; each is planted in three contexts, in turn.
  init(seed: UInt64, each: Int) {
    random = Seeded(state: seed)
    for round in 0..<each {
      for kind in 0..<Corpus.kinds {
        let secret = make(kind)
        secrets.append(secret)
        for step in 0..<3 {
          let (name, plant) = Corpus.contexts[(round * 7 + kind + step * 5) % Corpus.contexts.count]
          let text = plant(self, secret, &random)
          planted.append(Item(text: text, secret: secret, context: name))
        }
      }
    }
    for number in 0..<600 { negatives.append(negative(number)) }
  }

  // MARK: - Secrets

  private mutating func word(_ count: Int, _ letters: String) -> String {
    let letters = Array(letters)
    return String((0..<count).map { _ in letters[Int(random.next() % UInt64(letters.count))] })
  }

  private static let base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
  private static let url = base64 + "_-"

  private mutating func make(_ kind: Int) -> String {
    let (hex, url, plain, digits) = ("0123456789abcdef", Corpus.url, Corpus.base64, "0123456789")
    return switch kind {
    case 0, 1: word(32, hex)
    case 2: "sk-proj-" + word(48, url)
    case 3: "sk-ant-api03-" + word(95, url)
    case 4: "sk-or-v1-" + word(64, hex)
    case 5: "AIza" + word(35, url)
    case 6: word(10, digits) + ":" + word(35, url)
    case 7: "xoxb-" + word(12, digits) + "-" + word(13, digits) + "-" + word(24, plain)
    case 8: "xapp-1-" + word(11, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") + "-" + word(13, digits) + "-" + word(64, hex)
    case 9: word(24, url) + "." + word(6, url) + "." + word(38, url)
    case 10: "ghp_" + word(36, plain)
    case 11: word(40, plain + "+/")
    case 12: word(14, plain + "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ") + "x1"
    case 13: "whsec_" + word(42, plain + "+/") + "=="
    case 14: "syt_" + word(12, plain) + "_" + word(20, plain) + "_" + word(6, plain)
    case 15: "eyJhbGciOiJIUzI1NiJ9." + word(60, url) + "." + word(43, url)
    case 16:
      "-----BEGIN PRIVATE KEY-----\n" + word(64, plain + "+/") + "\n" + word(56, plain + "+/") + "==\n"
        + "-----END PRIVATE KEY-----\n"
    default: "pässwörd-" + word(10, plain) + "-ß"
    }
  }

  // MARK: - Contexts

  typealias Plant = @Sendable (Corpus, String, inout Seeded) -> [UInt8]

  static let contexts: [(String, Plant)] = [
    ("a line of a log", { _, secret, _ in Array("2026-11-25T22:40:34Z info gateway: token=\(secret) accepted".utf8) }),
    ("JSON", { _, secret, _ in Array(JSONValue.object(["token": .string(secret), "n": 1]).canonical.utf8) }),
    (
      "JSON in JSON",
      { _, secret, _ in
        let inner = JSONValue.object(["apiKey": .string(secret)]).canonical
        return Array(JSONValue.object(["body": .string(inner)]).canonical.utf8)
      }
    ),
    (
      "a URL",
      { _, secret, _ in
        let kept = CharacterSet(charactersIn: Corpus.url + ".~")
        let escaped = secret.addingPercentEncoding(withAllowedCharacters: kept) ?? secret
        return Array("GET https://api.example.test/bot/send?key=\(escaped)&text=hello HTTP/1.1".utf8)
      }
    ),
    (
      "hexadecimal",
      { _, secret, random in
        let text = Hex.encode(Array(secret.utf8))
        return Array("dump \(random.next() % 2 == 0 ? text : text.uppercased()) end".utf8)
      }
    ),
    (
      "a shell",
      { _, secret, random in
        random.next() % 2 == 0
          ? Array("export TOKEN='\(secret.replacing("'", with: #"'\''"#))'".utf8)
          : Array("curl -H \"X: \(secret.map { #""\$`"#.contains($0) ? "\\\($0)" : "\($0)" }.joined())\"".utf8)
      }
    ),
    (
      "Base64",
      { _, secret, random in
        let user = String("operator".prefix(Int(random.next() % 8)))
        let text = Data("\(user):\(secret):tail".utf8).base64EncodedString()
        let isURL = random.next() % 2 == 0
        return Array("Basic \(isURL ? text.replacing("+", with: "-").replacing("/", with: "_") : text)".utf8)
      }
    ),
    (
      "UTF-16",
      { _, secret, random in
        let little = random.next() % 2 == 0
        return "value \(secret) end".utf16.flatMap { unit -> [UInt8] in
          let bytes = [UInt8(truncatingIfNeeded: unit), UInt8(unit >> 8)]
          return little ? bytes : bytes.reversed()
        }
      }
    ),
    (
      "gzip",
      { _, secret, random in
        let stream = Corpus.gzip(Array("a line before\n{\"token\":\"\(secret)\"}\n".utf8))
        return random.next() % 2 == 0
          ? Array("bundle ".utf8) + stream : Array("data:\(Data(stream).base64EncodedString())\"".utf8)
      }
    ),
    (
      "several lines",
      { _, secret, random in
        let breaks = ["\n", "\r\n", "\n    ", #"\n"#, #"\\n"#, "\\\n  "]
        let gap = breaks[Int(random.next() % UInt64(breaks.count))]
        let width = 5 + Int(random.next() % 12)
        let lines = stride(from: 0, to: secret.count, by: width).map { start in
          String(secret.dropFirst(start).prefix(width))
        }
        return Array(("key:\n  " + lines.joined(separator: gap) + "\nend").utf8)
      }
    ),
    (
      "a mask",
      { corpus, secret, random in
        // OpenClaw leaves the first and last lines of a PEM block, which say nothing.
        guard secret.count >= 18, !secret.hasPrefix("-----") else { return Array("TOKEN=\(secret)".utf8) }
        let gap = random.next() % 2 == 0 ? "…" : #"\u2026"#
        return Array("using \(secret.prefix(6))\(gap)\(secret.suffix(4)) for the model".utf8)
      }
    ),
    (
      "HTML",
      { _, secret, _ in
        let text = secret.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
          .replacing("\"", with: "&quot;").replacing("'", with: "&#39;")
        return Array("<td class=\"value\">\(text)</td>".utf8)
      }
    ),
  ]

  static func gzip(_ bytes: [UInt8]) -> [UInt8] {
    var zlib = z_stream()
    let size = Int32(MemoryLayout<z_stream>.size)
    deflateInit2_(&zlib, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size)
    defer { deflateEnd(&zlib) }
    var input = bytes
    return input.withUnsafeMutableBufferPointer { source in
      [UInt8](unsafeUninitializedCapacity: bytes.count + 256) { target, count in
        zlib.next_in = source.baseAddress
        zlib.avail_in = UInt32(source.count)
        zlib.next_out = target.baseAddress
        zlib.avail_out = UInt32(target.count)
        _ = deflate(&zlib, Z_FINISH)
        count = target.count - Int(zlib.avail_out)
      }
    }
  }

  // MARK: - What only looks like a secret

  private mutating func negative(_ number: Int) -> Item {
    let hash = word(64, "0123456789abcdef")
    // A PEM block without its first letters still has the key in it.
    let candidates = secrets.filter { !$0.hasPrefix("-----") }
    let near = candidates[Int(random.next() % UInt64(candidates.count))]
    let (context, text): (String, String)
    switch number % 14 {
    case 0: (context, text) = ("Merkle root", #"{"root":"\#(hash)","size":\#(number)}"#)
    case 1: (context, text) = ("Merkle root", #"{"hash":"\#(hash)"}"#)
    case 2:
      (context, text) = ("digest", #"{"digest":{"sha256":"\#(hash)"},"image":"ghcr.io/openclaw@sha256:\#(hash)"}"#)
    case 3:
      (context, text) = (
        "SecretRef",
        #"{"id":"orgs/acme/models.providers.openai.apiKey#v\#(number)","provider":"aw","source":"exec"}"#
      )
    case 4: (context, text) = ("session key", #"{"sessionKey":"agent:main:telegram:dm:\#(word(10, "0123456789"))"}"#)
    case 5: (context, text) = ("placeholder", #"{"apiKey":"__OPENCLAW_REDACTED__","token":"${OPENCLAW_TOKEN}"}"#)
    case 6:
      (context, text) = ("sentinel", #"{"token":"oc-sent-v2.\#(word(43, Corpus.url)).end"}"#)
    case 7:
      (context, text) = (
        "pseudonym", #"{"fingerprint":"hmac-sha256:v1:\#(word(8, "0123456789abcdef")):\#(hash.prefix(32))"}"#
      )
    case 8: (context, text) = ("commit", "commit \(hash.prefix(40))")
    case 9: (context, text) = ("id", #"{"act":"01a214de-2c6b-7\#(hash.prefix(3))-b683-\#(hash.suffix(12))"}"#)
    // One character less, or another one, is another value.
    case 10: (context, text) = ("near miss", "token=\(near.dropFirst(2))")
    case 11:
      let (front, back) = (near.prefix(near.count / 2), near.dropFirst(near.count / 2))
      (context, text) = ("near miss", "token=\(front)\(back.first == "0" ? "1" : "0")\(back.dropFirst())")
    case 12: (context, text) = ("a mask of something else", "using \(word(6, Corpus.url))…\(word(4, Corpus.url))")
    default:
      (context, text) = ("commitment", #"{"_sd":["\#(word(43, Corpus.url))"],"_sd_alg":"sha-256"}"#)
    }
    return Item(text: Array(text.utf8), secret: nil, context: context)
  }
}

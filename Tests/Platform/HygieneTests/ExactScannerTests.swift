import Basics
import Crypto
import Foundation
import TestSupport
import Testing

@testable import Hygiene

@Suite("Exact-value scanner")
struct ExactScannerTests {
  private static func scanner(_ values: [String]) -> ExactScanner {
    var scanner = ExactScanner(key: SymmetricKey(size: .bits256))
    for value in values { scanner.insert(Array(value.utf8), as: name(value)) }
    return scanner
  }

  /// Tells values apart without saying them.
  private static func name(_ value: String) -> String { "value/\(String(value.hashValue, radix: 16))" }

  @Test(
    "of a planted corpus it finds at least 999 in 1,000 secrets, in every context, and nothing else",
    arguments: [7, 11])
  func corpus(seed: UInt64) {
    let corpus = Corpus(seed: seed, each: 24)
    #expect(corpus.planted.count >= 1_000 && corpus.negatives.count >= 500 && Corpus.contexts.count == 12)
    let scanner = Self.scanner(corpus.secrets)
    var missed: [String: Int] = [:]
    for item in corpus.planted {
      guard let secret = item.secret else { continue }
      let found = scanner.scan(item.text).findings.map(\.reference)
      if !found.contains(Self.name(secret)) { missed[item.context, default: 0] += 1 }
    }
    let recall = 1 - Double(missed.values.reduce(0, +)) / Double(corpus.planted.count)
    #expect(recall >= 0.999, "\(missed)")
    let alarms = corpus.negatives.filter { !scanner.scan($0.text).findings.isEmpty }
    #expect(alarms.isEmpty, "\(alarms.map(\.context))")
  }

  @Test("says where, in which form, and under which reference a value stands, and never the value")
  func says() {
    let value = "sk-proj-0123456789abcdefghijklmnop"
    var scanner = ExactScanner(key: SymmetricKey(size: .bits256))
    scanner.insert(Array(value.utf8), as: "credential/acme")
    let text = "xx \(value) yy"
    let found = scanner.scan(text).findings
    #expect(
      found == [.init(reference: "credential/acme", form: .raw, span: 3..<(3 + value.utf8.count), wasCompressed: false)]
    )
    #expect(!"\(scanner)".contains("0123456789abcdef") && !"\(found)".contains("0123456789abcdef"))
  }

  @Test("a span in joined lines is that of the text itself")
  func spans() throws {
    let scanner = Self.scanner(["abcdefghijklmnop"])
    let text = "one\ntwo abcdefgh\n   ijklmnop three\n"
    let finding = try #require(scanner.scan(text).findings.first)
    #expect(String(decoding: Array(text.utf8)[finding.span], as: UTF8.self) == "abcdefgh\n   ijklmnop")
  }

  @Test("whatever stands around a value, it is found: line breaks, backslashes, letters, nothing")
  func surroundings() {
    let values = [
      "nabcdef1hijk", "rabc\\ndefghi", " leading-white1", "trailing-back\\", "in\nside-a-line2", "tab\tand\\\\n more",
    ]
    let around = ["", "n", "\\", "\\\\", "\n", "\\n", "\r\n  ", "x", "\\\\n", "\u{0}"]
    for value in values {
      let scanner = Self.scanner([value])
      for before in around {
        for after in around {
          let text = before + value + after
          #expect(!scanner.scan(text).findings.isEmpty, "\(text.debugDescription)")
        }
      }
    }
  }

  @Test("a value of any characters is found between any others", arguments: [1, 2, 3])
  func anything(seed: UInt64) {
    var random = Seeded(state: seed)
    func word(_ count: Int) -> [UInt8] {
      let letters = Array("anr\\\n\r \t\"'/é".utf8)
      return (0..<count).map { _ in letters[Int(random.next() % UInt64(letters.count))] }
    }
    for _ in 0..<300 {
      let value = word(12) + Array("-middle-".utf8) + word(12)
      var scanner = ExactScanner(key: SymmetricKey(size: .bits256))
      scanner.insert(value, as: "value")
      let text = word(Int(random.next() % 6)) + value + word(Int(random.next() % 6))
      #expect(!scanner.scan(text).findings.isEmpty, "\(String(decoding: text, as: UTF8.self).debugDescription)")
    }
  }

  @Test("values shorter than eight bytes, and short words and numbers, are not looked for, and it says so")
  func short() {
    for plain in ["password", "20261125", "synthetic-org", "HOSTNAME"] {
      var scanner = ExactScanner(key: SymmetricKey(size: .bits256))
      let isLookedFor = scanner.insert(Array(plain.utf8), as: "a")
      #expect(!isLookedFor, "\(plain)")
    }
    var scanner = ExactScanner(key: SymmetricKey(size: .bits256))
    let tooPlain = scanner.insert(Array("123456a".utf8), as: "a")
    let longEnough = scanner.insert(Array("1234567a".utf8), as: "b")
    #expect(!tooPlain && longEnough && scanner.values == 1)
  }

  @Test("a compressed stream that goes on past the limit is named as unread")
  func bomb() {
    let scanner = Self.scanner(["abcdefghijklmnop"])
    let stream = Corpus.gzip([UInt8](repeating: 0x41, count: ExactScanner.inflatedBytesMax + 1))
    let result = scanner.scan(Array("x".utf8) + stream)
    #expect(result.findings.isEmpty && result.unread.count == 1)
    let nested = Corpus.gzip(Corpus.gzip(Array("abcdefghijklmnop".utf8)))
    #expect(scanner.scan(nested).findings.map(\.wasCompressed) == [true])
  }

  @Test("10,000 values of one vendor, which all begin alike, are each found")
  func alike() {
    var random = Seeded(state: 3)
    let values = (0..<10_000).map { "sk-proj-aw-fixture-\($0)-\(random.next() % 1_000_000)----" }
    var scanner = ExactScanner(key: SymmetricKey(size: .bits256))
    for value in values { scanner.insert(Array(value.utf8), as: value) }
    for value in values.enumerated().filter({ $0.offset.isMultiple(of: 97) }).map(\.element) {
      #expect(scanner.scan("a \(value) b").findings.map(\.reference).contains(value))
    }
    #expect(scanner.scan("sk-proj-aw-fixture-x-1----").findings.isEmpty)
  }
}

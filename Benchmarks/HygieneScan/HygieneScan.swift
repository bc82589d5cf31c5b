import ArgumentParser
import Basics
import Crypto
import Foundation
import Hygiene

/// Measures the search for known values on one core: prints one JSON object.
///
/// The text is what evidence looks like: JSON, one entry to a line, with ids, hashes and some prose. One line in
/// a thousand holds a known value, so that finds are part of what is measured.
@main
struct HygieneScan: ParsableCommand {
  @Option(help: "How many values are looked for.") var values = 10_000
  @Option(help: "How many megabytes are scanned in a run.") var megabytes = 64
  @Option(help: "How many runs; the slowest, the middle one and the fastest are shown.") var runs = 5

  func run() throws {
    var random = SystemRandomNumberGenerator()
    let known = (0..<values).map { Self.value($0, &random) }
    var scanner = ExactScanner(key: SymmetricKey(size: .bits256))
    let compiling = Self.time {
      for (index, value) in known.enumerated() { scanner.insert(Array(value.utf8), as: "value/\(index)") }
    }
    let (text, planted) = Self.text(bytes: megabytes * 1_000_000, known, &random)
    let entry = Array(text.prefix(1_000))
    var found = 0
    let rates = (0..<runs).map { _ -> Double in
      let time = Self.time { found = scanner.scan(text).findings.count }
      return Double(text.count) / 1_000_000 / time
    }.sorted()
    let rounds = 20_000
    let single = Self.time { for _ in 0..<rounds { found = max(found, scanner.scan(entry).findings.count) } }
    let report: JSONValue = [
      "values": .integer(Int64(scanner.values)), "bytes": .integer(Int64(text.count)),
      "compileSeconds": .number(compiling), "planted": .integer(Int64(planted)),
      "found": .integer(Int64(found)), "slowestMBs": .number(rates[0]), "medianMBs": .number(rates[runs / 2]),
      "fastestMBs": .number(rates[runs - 1]),
      "entryMicroseconds": .number(single * 1_000_000 / Double(rounds)),
    ]
    // The report is this program's answer.
    Swift.print(report.canonical)
  }

  /// Seconds that the processor worked: other programs on the machine do not count.
  private static func time(_ body: () -> Void) -> Double {
    func now() -> Double {
      var now = timespec()
      clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now)
      return Double(now.tv_sec) + Double(now.tv_nsec) / 1_000_000_000
    }
    let start = now()
    body()
    return now() - start
  }

  /// Kinds of OpenClaw's: Gateway tokens, vendors' keys, bot tokens.
  private static func value(_ index: Int, _ random: inout SystemRandomNumberGenerator) -> String {
    switch index % 5 {
    case 0: Hex.encode([UInt8].random(count: 16))
    case 1: "sk-proj-" + word(48, &random)
    case 2: "p@ss w\"rd/" + word(16, &random)
    case 3: "\(Int.random(in: 1_000_000_000...9_999_999_999, using: &random)):" + word(35, &random)
    default: "xoxb-\(Int.random(in: 100_000_000_000...999_999_999_999, using: &random))-" + word(24, &random)
    }
  }

  private static func word(_ count: Int, _ random: inout SystemRandomNumberGenerator) -> String {
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-".utf8)
    return String(decoding: (0..<count).map { _ in letters[Int.random(in: 0..<64, using: &random)] }, as: UTF8.self)
  }

  private static func text(
    bytes: Int, _ known: [String], _ random: inout SystemRandomNumberGenerator
  ) -> (text: [UInt8], planted: Int) {
    var text: [UInt8] = []
    text.reserveCapacity(bytes + 1_000)
    var (line, planted) = (0, 0)
    while text.count < bytes {
      line += 1
      let hash = Hex.encode((0..<32).map { _ in UInt8.random(in: .min ... .max, using: &random) })
      var says = "the check saw what it was to see, after \(line) attempts; the next one follows in a minute"
      if line.isMultiple(of: 1_000) {
        planted += 1
        says += " " + known[Int.random(in: 0..<known.count, using: &random)]
      }
      text += Array(
        #"{"actor":"system/watchdog","at":"2026-11-25T22:40:34.411Z","data":{"hash":"\#(hash)","says":"\#(says)"},"#
          .utf8)
      text += Array(
        #""index":\#(line),"kind":"instance.checked","org":"01a214de-2c6b-73ac-9a37-93ee1d52da87","v":1}"#.utf8)
      text.append(0x0A)
    }
    return (text, planted)
  }
}

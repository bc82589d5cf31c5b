import Basics
import TestSupport
import Testing

@testable import Addresses

@Suite("The guard of addresses")
struct AddressGuardTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let address: String
    let isRefused: Bool
    var testDescription: String { address }
  }

  /// The first and the last address of each special range, and their neighbours where those are ordinary.
  static let cases: [Case] = [
    ("0.0.0.0", true), ("0.255.255.255", true), ("1.0.0.0", false), ("9.255.255.255", false), ("10.0.0.0", true),
    ("10.255.255.255", true), ("11.0.0.0", false), ("100.63.255.255", false), ("100.64.0.0", true),
    ("100.127.255.255", true), ("100.128.0.0", false), ("126.255.255.255", false), ("127.0.0.1", true),
    ("127.255.255.255", true), ("128.0.0.0", false), ("169.253.255.255", false), ("169.254.0.0", true),
    ("169.254.169.254", true), ("169.254.170.2", true), ("169.255.0.0", false), ("172.15.255.255", false),
    ("172.16.0.0", true), ("172.31.255.255", true), ("172.32.0.0", false), ("192.0.0.0", true), ("192.0.0.192", true),
    ("192.0.1.0", false), ("192.0.2.1", true), ("192.88.99.1", true), ("192.167.255.255", false),
    ("192.168.0.0", true), ("192.168.255.255", true), ("192.169.0.0", false), ("198.17.255.255", false),
    ("198.18.0.0", true), ("198.19.255.255", true), ("198.20.0.0", false), ("198.51.100.7", true),
    ("203.0.113.9", true), ("223.255.255.255", false), ("224.0.0.1", true), ("239.255.255.255", true),
    ("240.0.0.0", true), ("255.255.255.255", true), ("100.100.100.200", true), ("168.63.129.16", true),
    ("8.8.8.8", false), ("::", true), ("::1", true), ("::127.0.0.1", true), ("::8.8.8.8", true),
    ("::ffff:127.0.0.1", true), ("::ffff:10.1.2.3", true), ("::ffff:169.254.169.254", true), ("::ffff:8.8.8.8", false),
    ("64:ff9b::7f00:1", true), ("64:ff9b:1::1", true), ("100::1", true), ("1fff:ffff::1", true), ("2001::1", true),
    ("2001:1ff:ffff::1", true), ("2001:200::1", false), ("2001:db8::1", true), ("2002:7f00:1::1", true),
    ("2606:4700:4700::1111", false), ("2a00:1450:4001::1", false), ("3fff::1", true), ("3fff:0fff::1", true),
    ("3fff:1000::1", false), ("4000::1", true), ("5f00::1", true), ("fc00::1", true), ("fd00:ec2::254", true),
    ("fdff:ffff::1", true), ("fe80::1", true), ("febf::1", true), ("fec0::1", true), ("ff02::1", true),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
  ].map { Case(address: $0.0, isRefused: $0.1) }

  @Test("special addresses are refused and ordinary ones are not", arguments: cases)
  func table(_ example: Case) throws {
    let address = try #require(NetworkAddress(example.address))
    let verdict = AddressGuard.verdict(on: address, allowing: [])
    if case .refused(let kind) = verdict {
      #expect(example.isRefused)
      #expect(!kind.isEmpty)
    } else {
      #expect(!example.isRefused)
      #expect(verdict == .open)
    }
  }

  @Test("a range of the endpoint lets its addresses through, and no others")
  func allowed() throws {
    let ranges = try ["10.20.0.0/16", "fd12::/16", "127.0.0.1"].map { try #require(NetworkRange($0)) }
    for (text, expected) in [
      ("10.20.0.1", true), ("10.20.255.255", true), ("10.21.0.0", false), ("::ffff:10.20.3.4", true), ("fd12::1", true),
      ("fd13::1", false), ("127.0.0.1", true), ("127.0.0.2", false),
    ] {
      let verdict = AddressGuard.verdict(on: try #require(NetworkAddress(text)), allowing: ranges)
      #expect((verdict == .allowed) == expected, "\(text)")
    }
  }

  @Test("the metadata of a cloud needs a range of its own, however wide the others are")
  func metadata() throws {
    let everything = try ["0.0.0.0/0", "::/0"].map { try #require(NetworkRange($0)) }
    for text in ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254"] {
      let address = try #require(NetworkAddress(text))
      guard case .refused = AddressGuard.verdict(on: address, allowing: everything) else {
        Issue.record("\(text) went through a wide range")
        continue
      }
      let own = try #require(NetworkRange(address.unwrapped.description))
      #expect(AddressGuard.verdict(on: address, allowing: [own]) == .allowed)
    }
  }

  @Test(
    "only the plain form of an address is one",
    arguments: [
      "", "127.1", "0x7f.0.0.1", "0177.0.0.1", "2130706433", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", " 1.2.3.4",
      "1.2.3.4 ",
      "fe80::1%eth0", "[::1]", "::g", "1:2:3:4:5:6:7", "::1::", "1.2.3.4\u{0}",
    ])
  func forms(_ text: String) { #expect(NetworkAddress(text) == nil) }

  @Test(
    "a range is a base and a prefix that fits it",
    arguments: [
      "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "fd00::/129", "fd00::1/8", "x/8", "10/8",
      "10.0.0.0/8/8", "10.0.0.0/٨",
    ])
  func ranges(_ text: String) { #expect(NetworkRange(text) == nil) }

  @Test("an address that wraps another is judged like the one inside; the verdict never depends on the spelling")
  func wrapping() throws {
    var random = Seeded(state: 7)
    for _ in 0..<100_000 {
      let four = (0..<4).map { _ in UInt8.random(in: 0...255, using: &random) }
      let plain = try #require(NetworkAddress(bytes: four))
      let wrapped = try #require(NetworkAddress(bytes: [UInt8](repeating: 0, count: 10) + [0xff, 0xff] + four))
      #expect(AddressGuard.verdict(on: plain, allowing: []) == AddressGuard.verdict(on: wrapped, allowing: []))
      let again = try #require(NetworkAddress(plain.description))
      #expect(again == plain)
    }
  }

  @Test("what is let through without a range is in no special range, seen bit by bit")
  func independent() throws {
    var random = Seeded(state: 11)
    for _ in 0..<100_000 {
      let bytes = (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
      let address = try #require(NetworkAddress(bytes: bytes))
      guard AddressGuard.verdict(on: address, allowing: []) == .open, address.unwrapped.isIPv6 else { continue }
      #expect(bytes[0] == 0x20 || bytes[0] >> 5 == 1)
      #expect(!(bytes[0] == 0x20 && bytes[1] == 0x02))
      #expect(!(bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] < 2))
    }
  }

  @Test("random text never becomes an address that another text spells differently")
  func text() {
    var random = Seeded(state: 13)
    let alphabet = Array("0123456789abcdef:.x%[]")
    for _ in 0..<100_000 {
      let length = Int.random(in: 0...24, using: &random)
      let text = String((0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] })
      guard let address = NetworkAddress(text) else { continue }
      #expect(NetworkAddress(address.description) == address, "\(text)")
    }
  }
}

import Addresses
import Basics
import Testing

@testable import Alerts

@Suite("Addresses of endpoints")
struct EndpointURLTests {
  @Test(
    "a URL is read into its parts and written from them",
    arguments: [
      ("https://hooks.example.com/a/b?c=d", "https://hooks.example.com:443/a/b?c=d"),
      ("HTTPS://Hooks.Example.COM", "https://hooks.example.com:443/"),
      ("http://10.0.0.1:9093", "http://10.0.0.1:9093/"),
      ("https://[2606:4700::1]:8443/x", "https://[2606:4700::1]:8443/x"),
      ("https://example.com.:1/", "https://example.com:1/"),
      ("https://example.com?q=1", "https://example.com:443/?q=1"),
    ])
  func reads(_ text: String, _ written: String) throws {
    #expect(try EndpointURL(text, schemes: [.https, .http]).text == written)
  }

  @Test(
    "what two readers could read differently is refused",
    arguments: [
      "", "example.com", "ftp://example.com", "file:///etc/passwd", "gopher://example.com", "https:/example.com",
      "https://", "https://user@example.com", "https://user:secret@example.com", "https://example.com@10.0.0.1/",
      "https://example.com#@10.0.0.1/", "https://example.com/a#b", "https://exa mple.com",
      "https://example.com/\r\nHost: x",
      "https://example.com\\@10.0.0.1", "https://ex%61mple.com", "https://[::1", "https://[fe80::1%25eth0]/",
      "https://[127.0.0.1]/", "https://example.com:0/", "https://example.com:65536/", "https://example.com:80:90/",
      "https://example.com:+80/", "https://пример.рф/", "https://a..b/", "https://.a/", "https://example.com/\u{7f}",
      "https://example.com/`", "https://\u{ff11}27.0.0.1/",
    ])
  func refuses(_ text: String) {
    do {
      let url = try EndpointURL(text, schemes: [.https, .http])
      Issue.record("\(text) was read as \(url.text)")
    } catch {
      #expect(error.code == .endpointInvalid)
      // It may be a secret.
      #expect(text.count < 12 || !error.description.contains(text))
    }
  }

  @Test("a mail server has a scheme of its own and no path")
  func mail() throws {
    #expect(try EndpointURL("smtp://mail.example.com", schemes: [.smtp, .smtps]).port == 587)
    #expect(try EndpointURL("smtps://mail.example.com", schemes: [.smtp, .smtps]).port == 465)
    #expect(throws: AWError.self) { try EndpointURL("smtp://mail.example.com/inbox", schemes: [.smtp, .smtps]) }
    #expect(throws: AWError.self) { try EndpointURL("https://mail.example.com", schemes: [.smtp, .smtps]) }
  }

  @Test("a name that resolves to a private address is refused, and so is one that resolves to nothing")
  func resolving() async throws {
    let url = try EndpointURL("https://hooks.example.com", schemes: [.https])
    let answers: [(texts: [String], ranges: [String], expected: ErrorCode?)] = [
      (["93.184.216.34"], [], nil), (["10.0.0.1"], [], .endpointAddressRefused), ([], [], .endpointNameUnknown),
      (["::ffff:169.254.169.254"], ["0.0.0.0/0"], .endpointAddressRefused), (["10.0.0.1"], ["10.0.0.0/8"], nil),
      // One good address among bad ones is used, and only that.
      (["10.0.0.1", "93.184.216.34"], [], nil),
    ]
    for (texts, ranges, expected) in answers {
      let resolver = AddressResolver { _ in texts.compactMap { NetworkAddress($0) } }
      do {
        let found = try await resolver.addresses(of: url, allowing: ranges)
        #expect(expected == nil)
        #expect(found.count == 1)
        #expect(found.allSatisfy { ranges.isEmpty != $0.isPrivate })
      } catch {
        #expect(error.code == expected)
      }
    }
  }

  @Test("http goes nowhere but into the endpoint's private ranges")
  func clear() async throws {
    let url = try EndpointURL("http://hooks.example.com", schemes: [.http])
    let outside = AddressResolver { _ in [NetworkAddress("93.184.216.34")].compactMap { $0 } }
    await #expect(throws: AWError.self) { try await outside.addresses(of: url, allowing: ["10.0.0.0/8"]) }
    let both = AddressResolver { _ in ["93.184.216.34", "10.0.0.1"].compactMap { NetworkAddress($0) } }
    let found = try await both.addresses(of: url, allowing: ["10.0.0.0/8"])
    #expect(found.map(\.address.description) == ["10.0.0.1"])
  }

  @Test("the machine's own resolver answers with what it was asked for")
  func system() async throws {
    let found = try await AddressResolver.system.resolve("localhost")
    #expect(found.contains { $0.description == "127.0.0.1" || $0.description == "::1" })
    #expect(found.allSatisfy { AddressGuard.kind(of: $0) == "loopback" })
    // Spelled so that only a lenient reader sees an address: the resolver does, and the guard sees what it sees.
    let lenient = try await AddressResolver.system.resolve("127.1")
    #expect(lenient.allSatisfy { AddressGuard.kind(of: $0) == "loopback" })
  }
}

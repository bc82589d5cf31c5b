import Addresses
import Basics
import Link
import Testing

@testable import Paths

@Suite("Control paths decide")
struct DecisionTests {
  static let hostKey =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"

  static func server() throws -> SSHServer {
    try SSHServer(address: "10.0.0.7", user: "aw", hostKeys: hostKey)
  }

  struct Said: Sendable, CustomTestStringConvertible {
    let text: String
    let code: ErrorCode
    let lossClass: LossClass?
    var isRefusal = false
    var testDescription: String { text }
  }

  /// What OpenSSH 9.2 says.
  static let said: [Said] = [
    .init(
      text: """
        @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
        @    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
        @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
        Host key for aw-host has changed and you have requested strict checking.
        Host key verification failed.
        """, code: .pathHostKeyChanged, lossClass: .tlsFailed, isRefusal: true),
    .init(
      text: "No ED25519 host key is known for aw-host and you have requested strict checking.\n"
        + "Host key verification failed.", code: .pathHostKeyChanged, lossClass: .tlsFailed, isRefusal: true),
    .init(
      text: "Unable to negotiate with 10.0.0.7 port 22: no matching host key type found. Their offer: ssh-rsa",
      code: .pathHostKeyChanged, lossClass: .tlsFailed, isRefusal: true),
    .init(
      text: "aw@10.0.0.7: Permission denied (publickey).", code: .pathCredentialRefused, lossClass: .authRejected,
      isRefusal: true),
    .init(
      text: "Load key \"/d/key\": error in libcrypto\naw@10.0.0.7: Permission denied (publickey).",
      code: .pathCredentialRefused, lossClass: .authRejected, isRefusal: true),
    .init(
      text: "ssh: Could not resolve hostname nowhere.invalid: Name or service not known", code: .pathUnreachable,
      lossClass: .dnsFailure),
    .init(
      text: "ssh: connect to host 10.0.0.7 port 22: Connection refused", code: .pathUnreachable,
      lossClass: .connectRefused),
    .init(
      text: "ssh: connect to host 10.0.0.7 port 22: Connection timed out", code: .pathUnreachable,
      lossClass: .connectTimeout),
    .init(
      text: "ssh: connect to host 10.0.0.7 port 22: No route to host", code: .pathUnreachable,
      lossClass: .networkUnreachable),
    .init(
      text: "Timeout, server 10.0.0.7 not responding.", code: .pathUnreachable, lossClass: .networkBlackhole),
    .init(
      text: "client_loop: send disconnect: Broken pipe", code: .pathUnreachable, lossClass: .networkReset),
    .init(
      text: "kex_exchange_identification: read: Connection reset by peer", code: .pathUnreachable,
      lossClass: .networkReset),
    .init(text: "Connection to 10.0.0.7 closed by remote host.", code: .pathUnreachable, lossClass: nil),
    .init(
      text: "channel 2: open failed: connect failed: Connection refused\nConnection to 10.0.0.7 closed by remote host.",
      code: .pathUnreachable, lossClass: nil),
    .init(text: "", code: .pathUnreachable, lossClass: .unknown),
  ]

  @Test("what ssh says decides what is told", arguments: said)
  func verdict(_ said: Said) throws {
    let failure = SSHVerdict.of(said.text, code: 255, wasUp: false, server: try Self.server())
    #expect(failure.explained.code == said.code)
    #expect(failure.lossClass == said.lossClass)
    #expect(failure.isRefusal == said.isRefusal)
  }

  @Test("a machine without ssh is told as that")
  func missing() throws {
    let failure = SSHVerdict.of("setpriv: failed to execute ssh", code: 127, wasUp: false, server: try Self.server())
    #expect(failure.explained.code == .pathProgramMissing)
  }

  @Test("an ssh server is an address, a user and public keys, and nothing that ssh could read as an option")
  func servers() throws {
    func refused(_ address: String = "h", _ user: String = "u", _ keys: String = DecisionTests.hostKey, port: Int = 22) {
      #expect(throws: AWError(.pathInvalid, "", next: "")) {
        try SSHServer(address: address, port: port, user: user, hostKeys: keys)
      }
    }
    refused("-oProxyCommand=x")
    refused("a b")
    refused("")
    refused("h", "-l")
    refused("h", "root@h")
    refused("h", "u", "")
    refused("h", "u", "ssh-ed25519 AAAA")
    refused("h", "u", "-----BEGIN OPENSSH PRIVATE KEY-----")
    refused(port: 0)
    refused("h", "u", Array(repeating: Self.hostKey, count: 9).joined(separator: "\n"))
    let scanned = try SSHServer(
      address: "::1", port: 2_222, user: "_aw", hostKeys: "# comment\n[h]:2222 \(Self.hostKey) root@h\n")
    #expect(scanned.hostKeys == [Self.hostKey])
    #expect(scanned.text == "_aw@[::1]:2222")
    #expect(scanned.fingerprints.count == 1 && scanned.fingerprints[0].hasPrefix("SHA256:"))
    #expect(SSHCommand.knownHosts(scanned) == "aw-host \(Self.hostKey)\n")
  }

  @Test("ssh is told never to take a host key that is not recorded, and never to ask")
  func arguments() throws {
    let arguments = SSHCommand.arguments(try Self.server(), port: 19_100, folder: SSHFolder(path: "/d"))
    for option in [
      "StrictHostKeyChecking=yes", "BatchMode=yes", "UserKnownHostsFile=\"/d/known\"", "GlobalKnownHostsFile=/dev/null",
      "ExitOnForwardFailure=yes", "ServerAliveInterval=5", "ServerAliveCountMax=2", "UpdateHostKeys=no",
    ] { #expect(arguments.contains(option)) }
    #expect(arguments.suffix(4) == ["-L", "/d/s:127.0.0.1:19100", "--", "10.0.0.7"])
  }

  struct Answer: Sendable, CustomTestStringConvertible {
    let head: String
    let code: ErrorCode?
    var testDescription: String { head }
  }

  static let answers: [Answer] = [
    .init(head: "HTTP/1.1 200 OK\r\nContent-Type: application/json", code: nil),
    .init(head: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket", code: nil),
    .init(head: "HTTP/1.1 503 Service Unavailable\r\nServer: cloudflare", code: nil),
    .init(head: "HTTP/1.1 403 Forbidden\r\nServer: cloudflare", code: .pathCredentialRefused),
    .init(head: "HTTP/1.1 401 Unauthorized", code: .pathCredentialRefused),
    .init(
      head: "HTTP/1.1 302 Found\r\nlocation: https://team.cloudflareaccess.com/cdn-cgi/access/login/acme.example.com",
      code: .pathCredentialRefused),
    .init(head: "HTTP/1.1 302 Found\r\nLocation: /elsewhere", code: nil),
    .init(head: "HTTP/1.1 530 <none>\r\nServer: cloudflare", code: .pathUnreachable),
    .init(head: "HTTP/1.1 502 Bad Gateway", code: .pathUnreachable),
    .init(head: "", code: nil), .init(head: "SSH-2.0-OpenSSH_9.2", code: nil),
    .init(head: "HTTP/1.1 \u{0}\r\n:\r\n", code: nil),
  ]

  @Test("the head of an answer tells whether the path itself refused", arguments: answers)
  func answer(_ answer: Answer) throws {
    let hostname = try PublicHostname(name: "acme.example.com")
    #expect(AccessAnswer.failure(answer.head, hostname: hostname)?.explained.code == answer.code)
  }

  @Test("a hostname is a name, never an address, and its private ranges are ranges")
  func hostnames() throws {
    for name in ["", ".", "a..b", "10.0.0.1", "::1", "a/b", "a@b", "a b", "ä.example"] {
      #expect(throws: AWError(.pathInvalid, "", next: ""), "\(name)") { try PublicHostname(name: name) }
    }
    #expect(throws: AWError(.pathInvalid, "", next: "")) {
      try PublicHostname(name: "a.example", allowsPrivate: ["10.0.0.0/33"])
    }
    let plain = try PublicHostname(name: "Acme.Example.com")
    #expect(plain.host == "acme.example.com" && plain.text == "acme.example.com:443")
    #expect(try PublicHostname(name: "a.example", port: 8_443).host == "a.example:8443")
  }

  @Test("a hostname in a private network is refused unless its range is named; one that has no address is told so")
  func addresses() async throws {
    func way(_ found: [String], _ allowed: [String] = []) throws -> HostnameWay {
      try HostnameWay(
        PublicHostname(name: "a.example", allowsPrivate: allowed), clientID: Secret("id"), clientSecret: Secret("s"),
        resolver: AddressResolver { _ in found.compactMap { NetworkAddress($0) } })
    }
    func code(_ way: HostnameWay) async -> ErrorCode? {
      do {
        _ = try await way.look()
        return nil
      } catch {
        return (error as? PathFailure)?.explained.code
      }
    }
    #expect(await code(try way(["10.0.0.1"])) == .pathAddressRefused)
    #expect(await code(try way(["169.254.169.254"], ["169.254.0.0/16"])) == .pathAddressRefused)
    #expect(await code(try way([])) == .pathUnreachable)
  }

  @Test("a half of a service token that could break out of its header is refused")
  func headers() throws {
    for half in ["", "a b", "a\r\nX: y", "ä"] {
      #expect(throws: AWError(.pathInvalid, "", next: "")) {
        try HostnameWay(PublicHostname(name: "a.example"), clientID: Secret("id"), clientSecret: Secret(half))
      }
    }
  }

  @Test("a path reads back as it was written, and an unknown kind is refused with the kinds that there are")
  func coding() throws {
    let paths: [ControlPath] = [
      .gateway, .ssh(try Self.server(), key: "instance/x/path-1-key"),
      .cloudflared(
        try PublicHostname(name: "a.example", port: 8_443, allowsPrivate: ["10.0.0.0/8"]),
        client: .init(id: "i", secret: "s"), tunnel: nil),
      .cloudflared(try PublicHostname(name: "b.example"), client: .init(id: "i", secret: "s"), tunnel: "t"),
    ]
    for path in paths {
      let text = try JSONValue(encoding: path).canonical
      #expect(try JSONValue.decode(ControlPath.self, from: text) == path)
    }
    #expect(throws: AWError(.pathKindUnknown, "", next: "")) { try PathKind.named("carrier-pigeon") }
  }
}

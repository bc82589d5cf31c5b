import Basics
import Foundation
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Credentials

/// A server of moto, which answers as AWS Secrets Manager does.
struct Moto {
  /// Where `script/bootstrap --tests` puts it.
  static let program: String? = {
    let environment = ProcessInfo.processInfo.environment
    let cache = environment["XDG_CACHE_HOME"] ?? (environment["HOME"] ?? "") + "/.cache"
    let path = environment["AW_TEST_MOTO"] ?? cache + "/aw/moto/bin/moto_server"
    return FileManager.default.isExecutableFile(atPath: path) ? path : nil
  }()

  /// It is there, or it has to be.
  static var isExpected: Bool { program != nil || ProcessInfo.processInfo.environment["AW_TEST_REQUIRE_ALL"] == "1" }

  let port: Int

  static func with(_ body: (Moto) async throws -> Void) async throws {
    let program = try #require(Self.program, "moto is missing: script/bootstrap --tests installs it")
    let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .bind(host: "127.0.0.1", port: 0).get()
    let port = try #require(listener.localAddress?.port)
    try await listener.close()
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = ["-H", "127.0.0.1", "-p", String(port)]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    defer {
      // It keeps nothing, and does not end by SIGTERM when its parent blocks that.
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
    }
    while !(await answers(port)) {
      try #require(process.isRunning, "moto ended")
    }
    try await body(Moto(port: port))
  }

  private static func answers(_ port: Int) async -> Bool {
    do {
      let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        .connect(host: "127.0.0.1", port: port).get()
      try await channel.close()
      return true
    } catch {
      return false
    }
  }

  func vault(_ folder: String, prefix: String = "aw") throws -> AWSVault {
    let file = folder + "/aws.json"
    try #"{"accessKeyId": "AKIDEXAMPLE", "secretAccessKey": "aw-secret-access-key-0123456789"}"#
      .write(toFile: file, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
    return try AWSVault(
      AWSSettings(
        name: "aws", region: "eu-central-1", endpoint: "http://127.0.0.1:\(port)", prefix: prefix,
        credentialsFile: file, caFile: nil), clock: .system)
  }
}

@Suite("AWS Secrets Manager", .serialized, .timeLimit(.minutes(2)))
struct AWSVaultTests {
  private func fails(_ code: ErrorCode, _ body: () async throws -> Void) async {
    await CredentialVaultTests.fails(code, body)
  }

  @Test("a value is made once, read, listed by name, and gone when it is destroyed", .enabled(if: Moto.isExpected))
  func whole() async throws {
    try await TestFolder.with { folder in
      try await Moto.with { moto in
        let vault = try moto.vault(folder)
        let key = vault.key(org: try Slug("acme"), surface: .slack, version: 1, mark: "00")
        #expect(key == "aw/acme/channels.slack.botToken/v1-00")
        await fails(.vaultMissing) { _ = try await vault.read(key) }
        #expect(try await vault.keys().isEmpty)
        try await vault.create(Secret("one"), at: key)
        #expect(try await vault.read(key).equals(Secret("one")))
        await fails(.conflict) { try await vault.create(Secret("two"), at: key) }
        #expect(try await vault.read(key).equals(Secret("one")))
        // Somebody else's, with members, and one whose name only begins like AW's folder.
        try await vault.create(Secret(#"{"key": "k", "number": 5}"#), at: "shared/openai")
        try await vault.create(Secret("x"), at: "awful/x")
        #expect(try await vault.read("shared/openai#key").equals(Secret("k")))
        for missing in ["shared/openai#number", "shared/openai#none", "awful/x#y"] {
          await fails(.vaultMissing) { _ = try await vault.read(missing) }
        }
        for number in 0..<120 { try await vault.create(Secret("n"), at: "aw/many/n\(number)") }
        #expect(Set(try await vault.keys()) == Set([key] + (0..<120).map { "aw/many/n\($0)" }))
        try await vault.destroy(key)
        try await vault.destroy(key)
        await fails(.vaultMissing) { _ = try await vault.read(key) }
        for wrong in ["", "/a", "a/../b", "a b", "a#", "a?b"] {
          await fails(.credentialKey) { _ = try await vault.read(wrong) }
        }
      }
    }
  }

  @Test("a server that is gone, and credentials that others can read or that are none, are told apart")
  func failures() async throws {
    try await TestFolder.with { folder in
      // Port 1 of the loopback: nothing listens there.
      let vault = try Moto(port: 1).vault(folder)
      await fails(.vaultUnreachable) { _ = try await vault.read("aw/a") }
      let file = folder + "/aws.json"
      try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file)
      await fails(.vaultRefused) { _ = try await vault.read("aw/a") }
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
      try #"{"accessKeyId": "x"}"#.write(toFile: file, atomically: false, encoding: .utf8)
      await fails(.vaultRefused) { _ = try await vault.read("aw/a") }
      try FileManager.default.removeItem(atPath: file)
      await fails(.vaultRefused) { _ = try await vault.read("aw/a") }
    }
  }

  @Test("requests are signed as AWS's own test vectors are")
  func signature() throws {
    let credentials = AWSCredentials(
      accessKeyID: "AKIDEXAMPLE", secretAccessKey: Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
      sessionToken: nil)
    let time = try #require(Timestamp("2015-08-30T12:36:00Z"))
    func signature(_ method: String) -> String? {
      AWSSignature.headers(
        method, path: "/", headers: ["host": "example.amazonaws.com"], body: [], region: "us-east-1",
        service: "service", credentials: credentials, at: time)["authorization"]?
        .split(separator: "Signature=").last.map(String.init)
    }
    // get-vanilla and post-vanilla of the published suite.
    #expect(signature("GET") == "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
    #expect(signature("POST") == "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")
  }

  static let replies: [(status: Int, type: String?, reply: String)] = [
    (200, nil, "done"), (400, "ResourceNotFoundException", "missing"),
    (400, "com.amazonaws.secretsmanager#ResourceNotFoundException", "missing"),
    (400, "ResourceExistsException", "taken"), (400, "InvalidRequestException", "taken"),
    (400, "AccessDeniedException", "denied"), (400, "UnrecognizedClientException", "denied"),
    (403, nil, "denied"), (400, "ThrottlingException", "throttled"), (429, nil, "throttled"),
    (500, "InternalServiceError", "failed"), (400, "ValidationException", "failed"), (302, nil, "failed"),
  ]

  @Test("each answer means what the published API says", arguments: replies.indices)
  func meaning(index: Int) {
    let row = Self.replies[index]
    let body: JSONValue = row.type.map { ["__type": .string($0)] } ?? [:]
    let word =
      switch AWSReply.read(status: row.status, body: body) {
      case .done: "done"
      case .missing: "missing"
      case .taken: "taken"
      case .denied: "denied"
      case .throttled: "throttled"
      case .failed: "failed"
      }
    #expect(word == row.reply)
  }
}

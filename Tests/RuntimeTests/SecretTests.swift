import Basics
import Foundation
import Link
import Logging
import Subprocess
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import Connector

@Suite("OpenClaw's exec protocol")
struct SecretExchangeTests {
  private func request(_ ids: [JSONValue], version: JSONValue = 1) -> [UInt8] {
    Array((["protocolVersion": version, "provider": "aw", "ids": .array(ids)] as JSONValue).canonical.utf8)
  }

  @Test("ids are read in their order, each once, and an empty list is one")
  func ids() {
    #expect(SecretExchange.read(request(["b", "a", "b"])) == .ids(["b", "a"]))
    #expect(SecretExchange.read(request([])) == .ids([]))
  }

  @Test(
    "what is no request is refused with the reason",
    arguments: [
      ("", "JSON object"), ("[]", "JSON object"), ("{", "JSON object"), ("{}", "version"),
      (#"{"protocolVersion":2,"provider":"aw","ids":[]}"#, "version"),
      (#"{"protocolVersion":"1","provider":"aw","ids":[]}"#, "version"),
      (#"{"protocolVersion":1,"ids":[]}"#, "provider"), (#"{"protocolVersion":1,"provider":"aw"}"#, "list"),
      (#"{"protocolVersion":1,"provider":"aw","ids":[1]}"#, "no text"),
    ])
  func refused(_ text: String, _ word: String) {
    guard case .refused(let why) = SecretExchange.read(Array(text.utf8)) else {
      Issue.record("not refused: \(text)")
      return
    }
    #expect(why.contains(word))
  }

  @Test("a request may have so many bytes and so many ids, and not one more")
  func limits() {
    let many = (0..<SecretLimits.idsMax).map { JSONValue.string("a\($0)") }
    guard case .ids(let ids) = SecretExchange.read(request(many)) else {
      Issue.record("refused")
      return
    }
    #expect(ids.count == SecretLimits.idsMax)
    #expect(SecretExchange.read(request(many + ["b"])) != .ids(ids + ["b"]))
    let large = [UInt8](repeating: 0x20, count: SecretLimits.requestBytesMax + 1)
    guard case .refused = SecretExchange.read(large) else {
      Issue.record("not refused")
      return
    }
  }

  @Test("one id's error is no other's, and codes are OpenClaw's where it shows them")
  func partial() throws {
    let reply = try JSONValue(
      parsing: SecretExchange.reply(
        ["a", "b", "c"], ["a": .value(Secret("x")), "b": .absent]))
    #expect(
      reply == [
        "protocolVersion": 1, "values": ["a": "x"],
        "errors": ["b": ["code": "NOT_FOUND"], "c": ["code": "UNAVAILABLE"]],
      ])
    #expect(
      try JSONValue(parsing: SecretExchange.reply([], [:])) == ["protocolVersion": 1, "values": [:]])
  }

  @Test("a reply is never longer than OpenClaw reads: what does not fit has an error of its own")
  func large() throws {
    let half = SecretOutcome.value(Secret(String(repeating: "\"", count: 300_000)))
    let bytes = SecretExchange.reply(["a", "b", "c"], ["a": half, "b": half, "c": .value(Secret("x"))])
    #expect(bytes.count < SecretLimits.replyBytesMax)
    let reply = try JSONValue(parsing: bytes)
    #expect(reply["values"]?["a"] != nil && reply["values"]?["c"] == "x")
    #expect(reply["errors"] == ["b": ["code": "TOO_LARGE"]])
  }

  /// Requests at the edges: cut, changed, repeated, with ids that no configuration could hold.
  @Test("whatever comes in, there is a refusal, or a reply with every id once")
  func fuzz() throws {
    var random = Seeded(state: 11)
    let inputs = ProcessInfo.processInfo.environment["AW_FUZZ_INPUTS"].flatMap { Int($0) } ?? 20_000
    let pieces = [
      "orgs/acme/a#v1", "..", "a/../b", "", "\u{0}", "\u{2028}", "é", "💠", "\"", "\\",
      String(repeating: "x", count: 257),
      String(repeating: "\u{1}", count: 2_000),
    ]
    for _ in 0..<inputs {
      let ids = (0..<Int.random(in: 0...4, using: &random)).map { _ in
        JSONValue.string(pieces.randomElement(using: &random) ?? "")
      }
      let version: JSONValue = Bool.random(using: &random) ? 1 : .integer(Int64.random(in: -1...2, using: &random))
      var bytes = request(ids, version: version)
      for _ in 0..<Int.random(in: 0...3, using: &random) where !bytes.isEmpty {
        let index = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0...2, using: &random) {
        case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: index)
        default: bytes.removeSubrange(index...)
        }
      }
      guard case .ids(let read) = SecretExchange.read(bytes) else { continue }
      let outcomes = Dictionary(
        uniqueKeysWithValues: read.map { id -> (String, SecretOutcome) in
          (id, SecretExchange.isWellFormed(id) ? .value(Secret(id)) : .malformed)
        })
      let output = SecretExchange.reply(read, outcomes)
      #expect(output.count < SecretLimits.replyBytesMax)
      let reply = try JSONValue(parsing: output)
      let (values, errors) = (reply["values"]?.objectValue ?? [:], reply["errors"]?.objectValue ?? [:])
      #expect(Set(values.keys).union(errors.keys) == Set(read) && Set(values.keys).isDisjoint(with: errors.keys))
    }
  }
}

/// A broker over a folder, with a clock that is told and a control plane that counts.
final class BrokerWorld: Sendable {
  let folder: String
  let time = Mutex(Timestamp(millisecondsSince1970: 1_795_000_000_000))
  /// By id: how often the control plane was asked for it.
  let asked = Mutex<[String: Int]>([:])
  /// Nil: the control plane is gone.
  let answer = Mutex<(@Sendable (String) -> Secret?)?>({ Secret("value of " + $0) })
  let instance = InstanceID.make(at: Timestamp(millisecondsSince1970: 1_795_000_000_000))
  static let org = Slug(literal: "acme")

  init(folder: String) { self.folder = folder }

  var clock: WallClock { WallClock { self.time.withLock { $0 } } }
  func pass(_ duration: Duration) { time.withLock { $0 = $0.advanced(by: duration) } }

  /// A Connector's broker, as it is after a start. A link is there.
  func broker() async -> SecretBroker {
    let broker = SecretBroker(
      directory: folder, key: Secret("the key of the Host"), clock: clock, logger: Logger(label: "broker"))
    await broker.attach(ObjectIdentifier(self)) { question in
      guard let answer = self.answer.withLock({ $0 }) else {
        throw AWError(.linkLost, "The link is gone.", next: "Wait.")
      }
      var (values, absent): ([String: Secret], [String]) = ([:], [])
      for id in question.ids {
        self.asked.withLock { $0[id, default: 0] += 1 }
        if let value = answer(id) { values[id] = value } else { absent.append(id) }
      }
      await broker.deliver(SecretAnswer(number: question.number, values: values, absent: absent))
    }
    return broker
  }

  /// What an Instance is told: the value, or the code.
  func resolve(_ ids: [String], _ broker: SecretBroker) async -> [String: String] {
    await broker.resolve(ids, for: instance, of: Self.org).mapValues { outcome in
      if case .value(let value) = outcome { value.withText { $0 } } else { outcome.code ?? "" }
    }
  }
}

extension Slug {
  /// A name that a test wrote itself.
  init(literal: StaticString) {
    do { self = try Slug("\(literal)") } catch { preconditionFailure("\(error)") }
  }
}

@Suite("Secrets on a Host", .timeLimit(.minutes(2)))
struct SecretBrokerTests {
  static let ids = (0..<64).map { "orgs/acme/surface.\($0)#v1" }

  @Test("a thousand restarts ask the control plane once for each id, within its lifetime")
  func storm() async throws {
    try await TestFolder.with { folder in
      let world = BrokerWorld(folder: folder)
      let broker = await world.broker()
      await withTaskGroup(of: Int.self) { group in
        for _ in 0..<1_000 { group.addTask { await world.resolve(Self.ids, broker).count } }
        for await count in group { #expect(count == 64) }
      }
      #expect(world.asked.withLock { $0 } == Dictionary(uniqueKeysWithValues: Self.ids.map { ($0, 1) }))
      world.pass(SecretLimits.freshFor)
      #expect(await world.resolve(Self.ids, broker)[Self.ids[7]] == "value of " + Self.ids[7])
      #expect(world.asked.withLock { $0[Self.ids[7]] } == 2)
    }
  }

  @Test("without a control plane values are given out while they are kept, by the next Connector too, and not after")
  func killed() async throws {
    try await TestFolder.with { folder in
      let world = BrokerWorld(folder: folder)
      #expect(await world.resolve(["a"], await world.broker()) == ["a": "value of a"])
      world.answer.withLock { $0 = nil }
      world.pass(SecretLimits.keptFor - .milliseconds(1))
      #expect(await world.resolve(["a", "b"], await world.broker()) == ["a": "value of a", "b": "UNAVAILABLE"])
      world.pass(.milliseconds(1))
      #expect(await world.resolve(["a"], await world.broker()) == ["a": "UNAVAILABLE"])
      world.answer.withLock { $0 = { _ in Secret("back") } }
      #expect(await world.resolve(["a"], await world.broker()) == ["a": "back"])
    }
  }

  @Test("what was taken back is not given out again, and an id that means nothing is not asked for again and again")
  func revoked() async throws {
    try await TestFolder.with { folder in
      let world = BrokerWorld(folder: folder)
      let broker = await world.broker()
      #expect(await world.resolve(["a"], broker) == ["a": "value of a"])
      world.answer.withLock { $0 = { _ in nil } }
      world.pass(SecretLimits.freshFor)
      #expect(await world.resolve(["a"], broker) == ["a": "NOT_FOUND"])
      #expect(await world.resolve(["a"], broker) == ["a": "NOT_FOUND"])
      #expect(world.asked.withLock { $0["a"] } == 2)
      world.answer.withLock { $0 = nil }
      world.pass(SecretLimits.absentFor)
      #expect(await world.resolve(["a"], broker) == ["a": "UNAVAILABLE"])
    }
  }

  @Test("a clock that was set back makes what is kept too old")
  func clockBack() async throws {
    try await TestFolder.with { folder in
      let world = BrokerWorld(folder: folder)
      let broker = await world.broker()
      #expect(await world.resolve(["a"], broker) == ["a": "value of a"])
      world.answer.withLock { $0 = nil }
      world.pass(.zero - SecretLimits.clockBackMax - .seconds(1))
      #expect(await world.resolve(["a"], broker) == ["a": "UNAVAILABLE"])
    }
  }

  @Test("an Instance that asks for too much is limited, and what OpenClaw would not ask for goes nowhere")
  func limited() async throws {
    try await TestFolder.with { folder in
      let world = BrokerWorld(folder: folder)
      let broker = await world.broker()
      let many = (0..<Int(SecretLimits.asksBurst) + 3).map { "a\($0)" }
      #expect(await world.resolve(many, broker).values.filter { $0 == "RATE_LIMITED" }.count == 3)
      #expect(await world.resolve(["../a", many[0]], broker) == ["../a": "INVALID_ID", many[0]: "value of a0"])
      world.pass(.seconds(2))
      #expect(await world.resolve(Array(many.suffix(3)), broker).values.filter { $0 == "RATE_LIMITED" }.count == 1)
    }
  }

  @Test("an Instance's own secret is found by itself alone, and is forgotten with it")
  func own() async throws {
    try await TestFolder.with { folder in
      let world = BrokerWorld(folder: folder)
      let broker = await world.broker()
      let id = InstanceSecretID.gatewayToken(of: world.instance)
      let other = InstanceID.make(at: world.clock.now)
      #expect(await world.resolve([id], broker) == [id: "value of " + id])
      // Kept for its Org, and still no other Instance's of that; the control plane is told.
      let asked = await broker.resolve([id, "a"], for: other, of: BrokerWorld.org)
      #expect(asked[id]?.code == "NOT_FOUND" && asked["a"]?.code == nil)
      #expect(world.asked.withLock { $0[id] } == 2)
      world.answer.withLock { $0 = nil }
      #expect(await world.resolve([id], broker) == [id: "value of " + id])
      await broker.forget(world.instance)
      #expect(await world.resolve([id, "a"], broker) == [id: "UNAVAILABLE", "a": "value of a"])
    }
  }

  @Test("what lies on the disk holds no value, is worth nothing under another key, and damage costs only itself")
  func sealed() async throws {
    try await TestFolder.with { folder in
      let world = BrokerWorld(folder: folder)
      _ = await world.resolve(["a"], await world.broker())
      let path = folder + "/secrets.sealed"
      var bytes = try #require(try DurableFile.read(path))
      #expect(!String(decoding: bytes, as: UTF8.self).contains("value of"))
      #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
      #expect(throws: (any Error).self) {
        try SecretStore(directory: folder, key: Secret("the key of another Host")).load()
      }
      bytes[bytes.count / 2] ^= 1
      try DurableFile.write(bytes, to: path)
      #expect(await world.resolve(["a"], await world.broker()) == ["a": "value of a"])
      #expect(world.asked.withLock { $0["a"] } == 2)
    }
  }
}

@Suite("aw-secret-exec at the socket of an Instance", .timeLimit(.minutes(2)))
struct SecretDeskTests {
  static func program() throws -> String {
    let folders = [Bundle.main.bundleURL.deletingLastPathComponent(), Bundle.main.bundleURL]
    let paths = folders.map { $0.appending(path: "aw-secret-exec").path(percentEncoded: false) }
    return try #require(paths.first { FileManager.default.isExecutableFile(atPath: $0) })
  }

  struct Answer {
    let code: Int32
    let output: String
    let complaint: String
  }

  static func ask(_ program: String, socket: String, _ request: String) async throws -> Answer {
    let result = try await Subprocess.run(
      .path(FilePath(program)), arguments: ["--socket", socket], environment: .custom([:]),
      input: .string(request), output: .string(limit: 4 << 20), error: .string(limit: 65_536))
    guard case .exited(let code) = result.terminationStatus else { return Answer(code: -1, output: "", complaint: "") }
    return Answer(code: Int32(code), output: result.standardOutput, complaint: result.standardError)
  }

  static func request(_ ids: [String]) -> String {
    (["protocolVersion": 1, "provider": "aw", "ids": .array(ids.map { .string($0) })] as JSONValue).canonical
  }

  private func with(
    owner: FileOwner? = nil, _ body: (BrokerWorld, InstanceDirectory, SecretDesk, InstanceSpec) async throws -> Void
  ) async throws {
    try await TestFolder.with { folder in
      let world = BrokerWorld(folder: folder)
      // Longer than the address of a socket may be.
      let directory = InstanceDirectory(path: folder + "/" + String(repeating: "long", count: 20))
      try directory.make(owner: nil)
      let desk = SecretDesk(
        broker: await world.broker(), program: try Self.program(), logger: Logger(label: "desk"))
      let spec = InstanceSpec(
        instance: world.instance, slug: try Slug("acme-main"), org: BrokerWorld.org, runtime: .process, port: nil,
        image: nil, configuration: "{}")
      try await desk.open(spec, directory, owner: owner)
      try await body(world, directory, desk, spec)
      try await desk.close(world.instance, directory)
      #expect(!FileManager.default.fileExists(atPath: directory.secrets))
    }
  }

  /// How long runs of the program take is written to the file that `AW_SECRETS_REPORT` names.
  @Test("64 ids are one question to the control plane, however often the program runs")
  func batch() async throws {
    let report = ProcessInfo.processInfo.environment["AW_SECRETS_REPORT"]
    try await with { world, directory, desk, spec in
      // What is open stays.
      try await desk.open(spec, directory, owner: nil)
      let request = Self.request(SecretBrokerTests.ids)
      var times: [Duration] = []
      for _ in 0..<(report == nil ? 3 : 500) {
        let began = ContinuousClock.now
        let answer = try await Self.ask(directory.secretProgram, socket: directory.secretSocket, request)
        times.append(ContinuousClock.now - began)
        #expect(answer.code == 0 && answer.complaint.isEmpty)
        #expect(try JSONValue(parsing: answer.output)["values"]?.objectValue?.count == 64)
      }
      #expect(world.asked.withLock { $0.values.allSatisfy { $0 == 1 } && $0.count == 64 })
      if let report {
        let sorted = times.sorted()
        let text = [0.5, 0.99, 1].map { "\($0): \(sorted[min(sorted.count - 1, Int(Double(sorted.count) * $0))])" }
        try Array((text.joined(separator: "\n") + "\n").utf8).withUnsafeBytes {
          try Data($0).write(to: URL(filePath: report))
        }
      }
    }
  }

  @Test("while AW is down an Instance that starts has its secrets for a day; after that it is refused, and says why")
  func controlPlaneKilled() async throws {
    try await with { world, directory, _, _ in
      let id = SecretBrokerTests.ids[0]
      func starts(_ wanted: JSONValue) async throws {
        let answer = try await Self.ask(directory.secretProgram, socket: directory.secretSocket, Self.request([id]))
        #expect(answer.code == 0 && answer.complaint.isEmpty)
        let reply = try JSONValue(parsing: answer.output)
        #expect(reply == wanted)
      }
      let given: JSONValue = ["protocolVersion": 1, "values": .object([id: .string("value of " + id)])]
      let refused: JSONValue = [
        "protocolVersion": 1, "values": [:], "errors": .object([id: ["code": "UNAVAILABLE"]]),
      ]
      try await starts(given)
      world.answer.withLock { $0 = nil }
      world.pass(SecretLimits.keptFor - .milliseconds(1))
      try await starts(given)
      world.pass(.milliseconds(1))
      try await starts(refused)
    }
  }

  @Test("the token that a configuration names is asked for before anything starts")
  func warm() async throws {
    try await with { world, directory, desk, spec in
      await desk.warm(spec)
      #expect(world.asked.withLock { $0.isEmpty })
      var named = spec
      let id = InstanceSecretID.gatewayToken(of: spec.instance)
      named.configuration = #"{"gateway":{"auth":{"token":{"id":"\#(id)"}}}}"#
      await desk.warm(named)
      world.answer.withLock { $0 = nil }
      let answer = try await Self.ask(directory.secretProgram, socket: directory.secretSocket, Self.request([id]))
      #expect(try JSONValue(parsing: answer.output)["values"] == .object([id: .string("value of " + id)]))
    }
  }

  @Test("what OpenClaw looks at is so: a real file, executable, nobody else's to change, in a folder of its own")
  func files() async throws {
    try await with { _, directory, _, _ in
      for (path, kind, mode) in [
        (directory.secretProgram, S_IFREG, mode_t(0o500)), (directory.secretSocket, S_IFSOCK, 0o600),
        (directory.secrets, S_IFDIR, 0o700),
      ] {
        var status = stat()
        #expect(lstat(path, &status) == 0)
        #expect(status.st_mode & S_IFMT == kind && status.st_mode & 0o7777 == mode, "\(path)")
        #expect(status.st_uid == geteuid())
      }
    }
  }

  @Test("a refusal, a user who is not the Instance's, and a Connector that is gone end with 1 and say why")
  func refusals() async throws {
    try await with { _, directory, _, _ in
      let answer = try await Self.ask(directory.secretProgram, socket: directory.secretSocket, "{}")
      #expect(answer.code == 1 && answer.output.isEmpty && answer.complaint.contains("version 1"))
      let gone = try await Self.ask(directory.secretProgram, socket: directory.secretSocket + "x", "{}")
      #expect(gone.code == 1 && gone.output.isEmpty && gone.complaint.contains("does not answer"))
    }
    // Only root can give a socket away.
    guard geteuid() == 0 else { return }
    try await with(owner: FileOwner(user: 4_242, group: 4_242)) { world, directory, _, _ in
      let answer = try await Self.ask(
        directory.secretProgram, socket: directory.secretSocket, Self.request(["orgs/acme/a#v1"]))
      #expect(answer.code == 1 && answer.output.isEmpty && answer.complaint.contains("may not ask"))
      #expect(world.asked.withLock { $0.isEmpty })
    }
  }
}

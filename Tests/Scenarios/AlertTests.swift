import Basics
import Client
import Fleet
import Foundation
import Testing

/// Somebody is told: a real control plane, a real Instance that stops answering, a real program that is told.
@Suite("Whoever is to be told is told, once, of the beginning and of the end", .serialized, .timeLimit(.minutes(5)))
struct AlertTests {
  /// A receiver of its own: it keeps what it is told, and can be away.
  private struct Receiver {
    let folder: String
    var program: String { folder + "/receive" }
    private var away: String { folder + "/away" }
    private var kept: String { folder + "/told" }

    init(in folder: String) throws {
      self.folder = folder
      let script = """
        #!/bin/sh
        # 75 is EX_TEMPFAIL: try again later.
        [ -e \(away) ] && exit 75
        cat >> \(kept)
        echo >> \(kept)
        """
      try script.write(toFile: program, atomically: true, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: program)
    }

    func leave() throws { try Data().write(to: URL(filePath: away)) }
    func comeBack() throws { try FileManager.default.removeItem(atPath: away) }

    /// What it was told, oldest first.
    var told: [JSONValue] {
      get throws {
        guard let data = FileManager.default.contents(atPath: kept) else { return [] }
        return try String(decoding: data, as: UTF8.self).split(separator: "\n").map { try JSONValue(parsing: String($0)) }
      }
    }

    func until(_ wanted: ([JSONValue]) -> Bool) async throws -> [JSONValue] {
      while true {
        let told = try self.told
        if wanted(told) { return told }
        await Task.yield()
      }
    }
  }

  private func route(_ scene: Scene, to receiver: Receiver) async throws {
    _ = try await scene.client.send(
      .post, "/alert-endpoints",
      body: ["name": "desk", "kind": "command", "target": .string(receiver.program)] as JSONValue)
    _ = try await scene.client.send(
      .post, "/alert-routes",
      body: [
        "name": "all", "endpoints": ["desk"],
        "pace": ["waitSeconds": 1, "intervalSeconds": 1, "repeatSeconds": 3_600],
      ] as JSONValue)
  }

  @Test("an Instance that stops answering is told of although the receiver was away, and so is its end")
  func wholeLife() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      _ = try await scene.provision()
      let receiver = try Receiver(in: scene.directory)
      try await route(scene, to: receiver)
      try receiver.leave()
      let processes = ProcessLook.instances(below: scene.directory)
      #expect(!processes.isEmpty)
      for process in processes { kill(process.id, SIGSTOP) }
      try await scene.until { $0.status.status == .unreachable }
      // The first try is refused; the delivery waits and says so.
      var waiting = try await scene.client.send(.get, "/deliveries")
      while waiting["items"]?.arrayValue?.first?["attempts"]?.arrayValue?.isEmpty ?? true {
        waiting = try await scene.client.send(.get, "/deliveries")
      }
      #expect(waiting["items"]?.arrayValue?.first?["state"] == "waiting")
      #expect(try receiver.told.isEmpty)
      let alerts = try await scene.client.send(.get, "/alerts")
      let title = try #require(alerts["items"]?.arrayValue?.first?["title"]?.stringValue)
      #expect(title.hasPrefix("acme-main is unreachable:"))
      try receiver.comeBack()
      let first = try await receiver.until { !$0.isEmpty }
      #expect(first.count == 1 && first[0].canonical.contains("acme-main is unreachable"))
      for process in processes { kill(process.id, SIGCONT) }
      let both = try await receiver.until { $0.count > 1 }
      #expect(both.count == 2 && both[1].canonical.contains("resolvedAt"))
      let open = try await scene.client.send(.get, "/alerts")
      #expect(open["items"]?.arrayValue?.isEmpty == true)
    }
  }
}

import Basics
import Foundation
import Link
import TestSupport
import Testing

@testable import Connector

@Suite("The policy.jsonc of an Instance")
struct PolicyFileTests {
  private static let policy = #"{"gateway":{"auth":{"requireAuth":true}}}"#

  private func with(_ body: (InstanceDirectory, InstanceSpec) throws -> Void) async throws {
    try await TestFolder.with { folder in
      let directory = InstanceDirectory(path: folder + "/acme-main")
      try directory.make(owner: nil)
      try body(
        directory,
        InstanceSpec(
          instance: .make(at: Timestamp(millisecondsSince1970: 0)), slug: try Slug("acme-main"),
          org: try Slug("acme"), runtime: .process, port: nil, image: nil, configuration: "{}",
          pinned: ["hooks.enabled": false], policy: Self.policy))
    }
  }

  @Test("it lies in the agent's workspace, and whoever changes it shows beside what is pinned until it is put back")
  func kept() async throws {
    try await with { directory, spec in
      let (path, good) = (directory.workspace + "/policy.jsonc", Array(#"{"hooks":{"enabled":false}}"#.utf8))
      #expect(try directory.departures(good, from: spec) == ["policy.jsonc"], "it is not there yet")
      try directory.save(policy: Self.policy, owner: nil)
      #expect(try directory.departures(good, from: spec).isEmpty)
      #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
      for other in [Self.policy.replacing("true", with: "null"), "", Self.policy + "\n"] {
        try other.write(toFile: path, atomically: true, encoding: .utf8)
        #expect(try directory.departures(Array("{}".utf8), from: spec) == ["hooks.enabled", "policy.jsonc"])
        try directory.save(policy: Self.policy, owner: nil)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == Self.policy)
      }
      // An Org without a baseline has none.
      var plain = spec
      (plain.policy, plain.pinned) = (nil, nil)
      #expect(try directory.departures([], from: plain).isEmpty)
    }
  }

  @Test("no link that an Instance puts in its place is followed")
  func links() async throws {
    try await with { directory, spec in
      let files = FileManager.default
      let outside = directory.path + "/outside"
      try files.createDirectory(atPath: outside, withIntermediateDirectories: true)
      try files.createSymbolicLink(atPath: directory.workspace, withDestinationPath: outside)
      #expect(throws: AWError(.runtimeFailed, "", next: "")) { try directory.save(policy: Self.policy, owner: nil) }
      #expect(try files.contentsOfDirectory(atPath: outside).isEmpty)
      try files.removeItem(atPath: directory.workspace)
      try directory.save(policy: Self.policy, owner: nil)
      // The same content by a link is not the file.
      try Self.policy.write(toFile: outside + "/file", atomically: true, encoding: .utf8)
      try files.removeItem(atPath: directory.workspace + "/policy.jsonc")
      try files.createSymbolicLink(
        atPath: directory.workspace + "/policy.jsonc", withDestinationPath: outside + "/file")
      #expect(try directory.departures(Array(#"{"hooks":{"enabled":false}}"#.utf8), from: spec) == ["policy.jsonc"])
      try directory.save(policy: Self.policy, owner: nil)
      #expect(try directory.has(policy: Self.policy))
      #expect(try files.contentsOfDirectory(atPath: outside) == ["file"])
    }
  }
}

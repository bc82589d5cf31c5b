import Basics
import Fleet
import Link
import Testing

@Suite("Where an Instance goes")
struct PlacementTests {
  static func candidate(
    _ slug: String, state: Host.State = .active, connected: Bool = true, docker: Bool = false, instances: Int = 0
  ) throws -> Placement.Candidate {
    let host = Host(
      id: .make(at: Timestamp(millisecondsSince1970: 0)), slug: try Slug(slug), state: state,
      runtimes: [
        .init(kind: .process, available: true, detail: "openclaw"),
        .init(kind: .docker, available: docker, detail: "the socket is missing"),
      ], createdAt: Timestamp(millisecondsSince1970: 0))
    return .init(host: host, isConnected: connected, instances: instances)
  }

  static func request(_ runtime: RuntimeKind = .process, host: String? = nil) throws -> Placement.Request {
    .init(
      slug: try Slug("acme-main"), runtime: runtime, image: runtime == .docker ? "sha256:1" : nil,
      host: try host.map { try Slug($0) })
  }

  @Test("the connected Host with the fewest Instances is taken")
  func fewest() throws {
    let candidates = [
      try Self.candidate("a", instances: 3), try Self.candidate("b", instances: 1),
      try Self.candidate("c", connected: false), try Self.candidate("d", state: .draining),
    ]
    #expect(try Placement.choose(Self.request(), among: candidates).slug.text == "b")
  }

  @Test(
    "a named Host that cannot take it is refused with its own reason",
    arguments: [
      ("offline", ErrorCode.hostOffline), ("draining", .hostDraining), ("invited", .hostOffline),
      ("nobody", .hostUnknown),
    ])
  func named(slug: String, code: ErrorCode) throws {
    let candidates = [
      try Self.candidate("good"), try Self.candidate("offline", connected: false),
      try Self.candidate("draining", state: .draining), try Self.candidate("invited", state: .invited),
    ]
    #expect(throws: AWError(code, "", next: "")) {
      try Placement.choose(Self.request(host: slug), among: candidates)
    }
  }

  @Test("a runtime that the Host cannot use is refused with what is missing")
  func runtime() throws {
    let candidates = [try Self.candidate("a")]
    let request = try Self.request(.docker)
    let error = #expect(throws: AWError.self) { try Placement.choose(request, among: candidates) }
    #expect(error?.code == .runtimeUnavailable)
    #expect(error?.message.contains("the socket is missing") == true)
    let able = [try Self.candidate("a", docker: true)]
    #expect(try Placement.choose(request, among: able).slug.text == "a")
  }

  @Test("docker without an image, and a fleet without Hosts, are refused")
  func nothing() throws {
    var request = try Self.request(.docker)
    request.image = nil
    #expect(throws: AWError(.usage, "", next: "")) { try Placement.choose(request, among: [Self.candidate("a")]) }
    #expect(throws: AWError(.hostUnknown, "", next: "")) { try Placement.choose(Self.request(), among: []) }
  }
}

import Basics
import Client
import Connector
import Evidence
import Fleet
import Foundation
import Link
import Logging

/// Looks at this machine and its control plane, and says what is wrong and what to do.
public struct Doctor: Sendable {
  public struct Finding: Codable, Sendable, Equatable {
    public enum Verdict: String, Codable, Sendable {
      case fine
      /// Worth knowing; not wrong by itself.
      case note
      case wrong
    }

    public let what: String
    public let verdict: Verdict
    public let detail: String
    public let next: String?

    init(_ what: String, _ verdict: Verdict, _ detail: String, next: String? = nil) {
      self.what = what
      self.verdict = verdict
      self.detail = detail
      self.next = next
    }

    init(_ what: String, _ error: AWError, verdict: Verdict = .wrong) {
      self.init(what, verdict, "\(error.message) [\(error.code.id)]", next: error.next)
    }
  }

  /// Less free space than this on the disk of the data is worth a word.
  static let freeBytesMin: Int64 = 1 << 30

  let contextPath: String
  /// Somebody named the file, so that a missing one is wrong. Without it this may be a machine that is a Host only.
  let isNamed: Bool
  let dockerSocket: String
  let clock: WallClock

  public init(contextPath: String, isNamed: Bool, dockerSocket: String, clock: WallClock = .system) {
    self.contextPath = contextPath
    self.isNamed = isNamed
    self.dockerSocket = dockerSocket
    self.clock = clock
  }

  public func examine() async -> [Finding] {
    var findings = [Finding("aw", .fine, "version \(Release.version)")]
    findings += await controlPlane()
    findings.append(await runtime(ProcessRuntime(dataDirectory: "/nonexistent"), "openclaw"))
    findings.append(await runtime(DockerRuntime(socket: dockerSocket, dataDirectory: "/nonexistent"), "docker"))
    return findings
  }

  /// A machine needs one of the runtimes, and only when it is a Host.
  private func runtime(_ runtime: some InstanceRuntime, _ name: String) async -> Finding {
    let found = await runtime.availability()
    return Finding(name, found.available ? .fine : .note, found.detail)
  }

  private func controlPlane() async -> [Finding] {
    let context: ContextFile
    do {
      context = try ContextFile.load(from: contextPath)
    } catch {
      let problem = AWError.wrapping(error, doing: "Reading the context")
      return [Finding("context", problem, verdict: problem.code == .contextMissing && !isNamed ? .note : .wrong)]
    }
    var findings = [Finding("context", .fine, contextPath)]
    do {
      let client = try APIClient(context)
      let summary = try await client.send(.get, "/fleet", as: FleetSummary.self)
      findings.append(
        Finding(
          "control plane", .fine,
          "\(context.url), Instances: \(summary.instances), Hosts linked: \(summary.hostsConnected) of \(summary.hosts)"
        ))
      findings.append(clockFinding(summary.now))
      findings += try await parts(client)
    } catch {
      findings.append(Finding("control plane", AWError.wrapping(error, doing: "Asking the control plane")))
    }
    if let evidence = context.evidence { findings += [disk(evidence), self.evidence(evidence)] }
    return findings
  }

  private func clockFinding(_ theirs: Timestamp) -> Finding {
    let skew = theirs.since(clock.now)
    let size = skew.magnitude
    guard size > .seconds(5) else { return Finding("clock", .fine, "within 5 s of the control plane's") }
    return Finding(
      "clock", size > LinkLimits.clockSkewMax ? .wrong : .note,
      "\(Int(size.seconds)) s apart from the control plane's", next: "Set both clocks (NTP).")
  }

  private func parts(_ client: APIClient) async throws -> [Finding] {
    let answer = try await client.readiness()
    return (answer["parts"]?.arrayValue ?? []).map { part in
      let name = part["name"]?.stringValue ?? "a part"
      if part["ready"]?.boolValue == true { return Finding(name, .fine, "ready") }
      return Finding(
        name, .wrong, "not ready [\(part["code"]?.stringValue ?? "no code")]",
        next: "Look in the log of the control plane.")
    }
  }

  private func disk(_ path: String) -> Finding {
    do {
      let attributes = try FileManager.default.attributesOfFileSystem(forPath: path)
      let free = (attributes[.systemFreeSize] as? NSNumber)?.int64Value ?? 0
      let text = "\(free >> 20) MiB free"
      guard free < Self.freeBytesMin else { return Finding("disk", .fine, text) }
      return Finding("disk", .wrong, text, next: "Free space: AW refuses acts that it cannot record.")
    } catch {
      return Finding("disk", .note, "cannot be asked on this machine: \(error.localizedDescription)")
    }
  }

  private func evidence(_ directory: String) -> Finding {
    do {
      let report = try EvidenceVerifier.verify(directory: directory)
      guard let first = report.problems.first else {
        return Finding("evidence log", .fine, "entries that verify: \(report.size)")
      }
      return Finding(
        "evidence log", .wrong, "\(report.problems.count) problems, the first in \(first.file): \(first.what)",
        next: "Run 'aw evidence verify \(directory)', and keep the folder as it is.")
    } catch {
      return Finding("evidence log", AWError.wrapping(error, doing: "Verifying the evidence"), verdict: .note)
    }
  }
}

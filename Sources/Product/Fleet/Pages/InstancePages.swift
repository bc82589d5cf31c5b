import Access
import Basics
import Evidence
import HTTPTypes
import Link
import Web
import Work

/// The pages of one Instance.
extension FleetRoutes {
  var instancePages: [Route] {
    [
      .page("/instances/{instance}", "One Instance: where it runs, its chain, its operation.") { request in
        try await instancePage(request)
      },
      .page("/instances/{instance}/logs", "What an Instance printed.", .instanceLogs) { try await logsPage($0) },
      form(.start), form(.stop), form(.restart),
      .form("/instances/{instance}/remove", "Removes an Instance.", .instanceRemove, .instanceRemovalRequested) {
        request in
        let (slug, form) = (try request.slug("instance"), try request.form())
        try form.confirmed(slug.text)
        _ = try await service.operate(
          .remove, on: slug, purge: form.optional("purge") == "yes", as: try request.actor)
        return .redirect(to: "/instances/\(slug)")
      },
    ]
  }

  private func form(_ plan: InstancePlan) -> Route {
    .form(
      "/instances/{instance}/\(plan.verb)", "Asks for: \(plan.verb).", plan.permission, plan.evidenceKind
    ) { request in
      let slug = try request.slug("instance")
      _ = try await service.operate(plan, on: slug, as: try request.actor)
      return .redirect(to: "/instances/\(slug)")
    }
  }

  private func instancePage(_ request: WebRequest) async throws -> WebResponse {
    let slug = try request.slug("instance")
    let view: InstanceView
    do {
      view = try await reader.instance(slug)
    } catch let error as AWError where error.code == .instanceUnknown {
      // A page that was open while its Instance was removed should say so, not fail.
      return .page(
        Page("\(slug)", template: "fleet/instance-gone", values: ["slug": .string(slug.text)]), status: .notFound)
    }
    var values = Self.row(view).objectValue ?? [:]
    values["path"] = .string(view.path.words)
    values["facts"] = .array(Self.facts(view))
    values["chain"] = .array(Self.chain(view))
    let names = try await ActorNames(of: [view.operation?.actor], in: reader.store)
    values["operation"] = view.operation.map { Self.operation($0, names) } ?? .null
    values["operationRuns"] = .bool(view.operation?.isFinished == false)
    values["id"] = .string(view.id.text)
    values["mayAct"] = .bool(request.caller?.role == .owner)
    values["isRunning"] = .bool(view.state == .active)
    values["isStopped"] = .bool(view.state == .stopped)
    values["mayRemove"] = .bool([.active, .stopped, .failed].contains(view.state))
    values["isFailed"] = .bool(view.state == .failed)
    values["confirm"] = .string(slug.text)
    values["data"] = .string(view.dataDirectory ?? "")
    let page = Page(
      slug.text, template: "fleet/instance", values: .object(values), live: FleetTopics.instance(view.id))
    return .page(page)
  }

  private static func facts(_ view: InstanceView) -> [JSONValue] {
    let all: [(String, String?)] = [
      ("Org", view.org.text), ("Runtime", view.runtime.rawValue), ("Image", view.image),
      ("OpenClaw", view.version), ("Port on the Host", view.port.map { "127.0.0.1:\($0)" }),
      ("Data", view.dataDirectory), ("Asked for", view.state.words), ("Id", view.id.text),
    ]
    return all.compactMap { name, value in value.map { ["name": .string(name), "value": .string($0)] } }
  }

  /// Every link of the chain, also those that were never looked at.
  private static func chain(_ view: InstanceView) -> [JSONValue] {
    ChainLink.allCases.map { link in
      guard let check = view.chain.first(where: { $0.link == link }) else {
        return ["title": .string(link.title), "outcome": "not looked at yet", "class": "unknown"]
      }
      let outcome = check.behindFailure ? "not looked at since" : check.outcome
      return [
        "title": .string(check.title), "outcome": .string(outcome), "class": .string(look(check)),
        "at": .string(check.at.description), "took": .string("\(check.durationMilliseconds) ms"),
        "message": .string(check.message ?? ""), "next": .string(check.next ?? ""),
        "code": .string(check.code ?? ""), "evidence": .string(check.evidence.isNull ? "" : check.evidence.indented),
        "key": .string(link.rawValue),
      ]
    }
  }

  /// Which look of a status an outcome has.
  static func look(_ check: CheckView) -> String {
    if check.behindFailure { return Status.unknown.rawValue }
    switch check.outcome {
    case "passed": return Status.current.rawValue
    case "degraded": return Status.degraded.rawValue
    default: return Status.unreachable.rawValue
    }
  }

  static func operation(_ operation: OperationView, _ names: ActorNames) -> JSONValue {
    let failure: JSONValue =
      operation.failure.map { failure in
        [
          "message": .string(failure.message), "next": .string(failure.next), "code": .string(failure.code),
        ]
      } ?? .null
    return [
      "id": .string(operation.id.text), "kind": .string(operation.kind), "state": .string(operation.state.rawValue),
      "at": .string(operation.updatedAt.description), "actor": .string(names.words(for: operation.actor)),
      "failure": failure,
      "steps": .array(
        operation.steps.map { step in
          [
            "title": .string(step.title), "state": .string(step.state.rawValue),
            "waitingFor": .string(step.waitingFor ?? ""), "took": .string(step.milliseconds.map { "\($0) ms" } ?? ""),
          ]
        }),
    ]
  }

  private func logsPage(_ request: WebRequest) async throws -> WebResponse {
    let slug = try request.slug("instance")
    let lines = try await service.logs(of: slug, lines: 500, as: try request.actor)
    let values: JSONValue = [
      "slug": .string(slug.text), "lines": .string(lines.joined(separator: "\n")),
    ]
    return .page(Page("Log of \(slug)", template: "fleet/logs", values: values))
  }
}

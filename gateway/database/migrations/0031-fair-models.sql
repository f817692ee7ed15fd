-- Fair sharing model by model: each model and version has places of its own, so work on one says nothing about who goes
-- next on another. Gateways of the previous release go on using `fair_clock` and `key_loads.virtual_start`.

-- Virtual time from which the key's next job of the model may start.
create table fair_starts (
  key_id text not null,
  model text not null,
  model_version text not null,
  virtual_start double precision not null,
  primary key (key_id, model, model_version)
);

-- Virtual start of the model's latest job. A key that had nothing to do starts from here: it gets no credit for idle time.
create table fair_clocks (
  model text not null,
  model_version text not null,
  virtual_time double precision not null,
  primary key (model, model_version)
);
